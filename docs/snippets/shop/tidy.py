from pathlib import Path

from taskworks import TaskContext, task


@task(takes_context=True, timeout=60)
def tidy(context: TaskContext, folder: str) -> int:
    deleted = 0
    for file in Path(folder).glob("*.tmp"):
        if context.remaining() < 5:
            break  # the next run deletes the others
        file.unlink()
        deleted += 1
    return deleted
