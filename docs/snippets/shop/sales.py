from taskworks import TaskContext, Workflow, WorkflowResult, task


@task
def download(day: str) -> None:
    print(f"Downloaded the sales of {day}.")


@task
def add_up(shop: str) -> int:
    return 100 * len(shop)


@task(takes_context=True)
def write_report(context: TaskContext) -> int:
    return sum(context.workflow.results("shops"))


@task
def tidy_up(day: str) -> None:
    print(f"Deleted the files of {day}.")


def enqueue_report(day: str, shops: list[str]) -> WorkflowResult:
    flow = Workflow("sales report")
    first = flow.add("download", download, day)
    each = flow.each("shops", add_up, [[shop] for shop in shops], after=first)
    flow.add("report", write_report, after=each)
    flow.add("tidy up", tidy_up, day, after="report", any_end=True)
    return flow.enqueue()
