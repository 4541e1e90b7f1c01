from typing import Any

from taskworks import TaskResult, task


def patience(exception: BaseException, result: TaskResult[..., Any]) -> float | None:
    if isinstance(exception, PermissionError):
        return None  # no more attempts
    return 60.0 * result.attempts


@task(max_attempts=10, backoff=patience)
def count_lines(path: str) -> int:
    with open(path) as lines:
        return sum(1 for line in lines)
