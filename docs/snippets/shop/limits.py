from datetime import timedelta

from taskworks import task


@task(timeout=0.5)
def count_up() -> None:
    number = 0
    while True:
        number += 1


@task(expires=timedelta(minutes=5))
def say_good_morning(name: str) -> str:
    return f"Good morning, {name}"
