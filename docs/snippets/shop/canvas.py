from taskworks.celery import chain, chord, group, shared_task


@shared_task
def add(a: int, b: int) -> int:
    return a + b


@shared_task
def total(numbers: list[int]) -> int:
    return sum(numbers)


def add_up() -> list[str]:
    one_after_another = chain(add.s(1, 2), add.s(10))
    side_by_side = group(add.s(n, n) for n in range(3))
    both = chord(side_by_side, total.s())
    return [flow.delay().id for flow in (one_after_another, both)]
