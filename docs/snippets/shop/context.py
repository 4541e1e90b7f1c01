from taskworks import TaskContext, task


@task(takes_context=True)
def introduce(context: TaskContext, name: str) -> str:
    return f"{name}, attempt {context.attempt} of run {context.task_result.id}"
