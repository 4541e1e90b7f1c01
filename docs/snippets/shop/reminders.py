from taskworks import TaskContext, task


@task(queue_name="mail", takes_context=True, max_attempts=5)
def remind(context: TaskContext, address: str) -> str:
    return f"attempt {context.attempt}: a reminder to {address}"
