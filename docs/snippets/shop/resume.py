from pathlib import Path

from taskworks import TaskContext, task


@task(takes_context=True, max_attempts=3, backoff=30, metadata={"lines": 0})
def import_prices(context: TaskContext, path: str) -> int:
    lines = Path(path).read_text().splitlines()
    for line in lines[context.metadata["lines"] :]:
        float(line)  # raises ValueError if the line is not a price
        context.metadata["lines"] += 1
        context.save_metadata()
    return context.metadata["lines"]
