from pathlib import Path

from taskworks import TaskContext, task


@task(takes_context=True)
def import_orders(context: TaskContext, path: str) -> int:
    lines = Path(path).read_text().splitlines()
    context.set_target(len(lines))
    imported = 0
    for number, line in enumerate(lines, start=1):
        if line:
            imported += 1
        else:
            context.add_message(f"Line {number} is empty.", level="warning")
        context.inc_progress()
    return imported
