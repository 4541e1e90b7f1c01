import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taskworks import Batch, WorkflowResult, task

CHUNK = 256 * 1024  # bytes, which are some thousand rows


@task(transactional=True, timeout=15, max_attempts=5)
def import_chunk(path: str, start: int, end: int) -> int:
    with open(path, "rb") as file:
        file.seek(start)
        lines = file.read(end - start).decode().splitlines()
    rows = [*csv.reader(lines)]
    save(rows)
    return len(rows)


def save(rows: list[list[str]]) -> None:
    print(f"{len(rows)} rows")  # here, for example: Product.objects.bulk_create(...)


@task
def tell(text: str) -> None:
    print(text)


def import_file(path: str, user: Any) -> WorkflowResult:
    done = tell.step(f"{path} is imported.")
    failed = tell.step(f"A part of {path} could not be imported.")
    with Batch("import", then=done, failed=failed, owner=user) as batch:
        for start, end in chunks(path):
            batch.add(import_chunk, path, start, end)
    return batch.result


def chunks(path: str) -> Iterator[tuple[int, int]]:
    start, size = 0, Path(path).stat().st_size
    with open(path, "rb") as file:
        while start < size:
            file.seek(start + CHUNK)
            file.readline()  # up to the end of a row
            end = min(file.tell(), size)
            yield start, end
            start = end
