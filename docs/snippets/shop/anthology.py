from taskworks import TaskContext, Workflow, WorkflowResult, task

from shop.tasks import count_words


@task(takes_context=True)
def add_up(context: TaskContext) -> int:
    return sum(context.workflow.results("texts"))


@task(takes_context=True)
def publish(context: TaskContext, title: str) -> str:
    if not title:
        raise ValueError("an anthology needs a title")
    return f"{title}, {context.workflow.result('total')} words"


def enqueue_anthology(title: str, texts: list[str]) -> WorkflowResult:
    flow = Workflow("anthology")
    counted = flow.each("texts", count_words, [[text] for text in texts])
    total = flow.add("total", add_up, after=counted)
    flow.add("publish", publish, title, after=total)
    return flow.enqueue()
