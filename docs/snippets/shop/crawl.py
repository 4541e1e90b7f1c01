from taskworks import TaskContext, Workflow, task

LINKS = {"/": ["/a", "/b"], "/a": ["/b"], "/b": []}


@task(takes_context=True)
def crawl(context: TaskContext, page: str) -> None:
    print(f"Read {page}")
    for link in LINKS[page]:
        context.workflow.add(link, crawl, link)


def crawl_site() -> None:
    flow = Workflow("crawl")
    flow.add("/", crawl, "/")
    flow.enqueue()
