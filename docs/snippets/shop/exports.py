from pathlib import Path

from taskworks import TaskContext, task


@task(takes_context=True)
def export_orders(context: TaskContext, path: str, count: int) -> int:
    part = Path(f"{path}.part")
    try:
        with part.open("w") as file:
            for number in range(count):
                context.raise_if_cancelled()
                file.write(f"order {number}\n")
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return count
