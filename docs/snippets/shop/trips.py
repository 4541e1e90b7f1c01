from taskworks import TaskContext, task


class SoldOutError(Exception):
    pass


@task(takes_context=True, max_attempts=10, retry_on=[OSError])
def book_trip(context: TaskContext, trip_id: int) -> str:
    booked: list[str] = []
    for part in ("flight", "hotel", "car"):
        if not context.step(f"book {part}", is_booked, part, trip_id):
            for done in reversed(booked):
                context.step(f"cancel {done}", cancel, done, trip_id)
            return f"There is no {part}, so nothing is booked."
        booked.append(part)
    return "booked"


def is_booked(part: str, trip_id: int) -> bool:
    try:
        book(part, trip_id)
    except SoldOutError:
        return False  # a value, because exceptions are not recorded
    return True


def book(part: str, trip_id: int) -> None:
    print("book", part)
    if part == "car":
        raise SoldOutError


def cancel(part: str, trip_id: int) -> None:
    print("cancel", part)
