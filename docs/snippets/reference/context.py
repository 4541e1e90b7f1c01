from taskworks import TaskContext, task


@task(takes_context=True, timeout=60)
def report(context: TaskContext, steps: int) -> str:
    context.set_target(steps)
    for _ in range(steps):
        context.raise_if_cancelled()
        context.inc_progress()
    context.add_message("Done.", level="info")
    context.metadata["steps"] = steps
    context.save_metadata()
    return f"attempt {context.attempt}, {context.remaining():.0f} s left"
