"""What that project declares."""

from taskworks import TaskContext, task
from taskworks.schedules import every


@every(seconds=1)
@task(takes_context=True)
def tick(context: TaskContext) -> str:
    assert context.scheduled_for
    return context.scheduled_for.isoformat()
