"""Tasks as people write them for Celery, but for the import."""

import sys
import threading
import time
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from taskworks import Unique
from taskworks.celery import App, group, shared_task
from taskworks.celery.exceptions import SoftTimeLimitExceeded
from taskworks.celery.utils.log import get_task_logger

app = App("tests")
logger = get_task_logger(__name__)

calls: list[Any] = []
gate = threading.Event()


class CarrierError(Exception):
    """What may pass."""


class BusyError(CarrierError):
    """A kind of it."""


class ClosedError(CarrierError):
    """Another kind, which does not pass."""


@shared_task
def add(a: int, b: int = 1) -> int:
    return a + b


@app.task
def double(a: int) -> int:
    return a * 2


@app.task(name="mail.send", queue="mail", priority=9, expires=3600, time_limit=60)
def send(address: str) -> str:
    return f"sent to {address}"


@shared_task
def typed(*args: Any, **kwargs: Any) -> dict[str, Any]:
    calls.append((args, kwargs))
    return {"args": args, "kwargs": kwargs}


@shared_task(bind=True)
def about(self: Any, a: int, *, b: int = 0) -> dict[str, Any]:
    request = self.request
    return {
        "name": self.name,
        "id": request.id,
        "args": request.args,
        "kwargs": request.kwargs,
        "retries": request.retries,
        "called_directly": request.called_directly,
        "is_eager": request.is_eager,
        "hostname": request.hostname,
        "delivery_info": request.delivery_info,
        "root_id": request.root_id,
        "absent": request.get("absent", "nothing"),
    }


@shared_task(bind=True, max_retries=2, default_retry_delay=7)
def stubborn(self: Any, *, countdown: float | None = None, most: int | None = None) -> None:
    calls.append(self.request.retries)
    try:
        raise BusyError("busy")
    except BusyError as error:
        raise self.retry(exc=error, countdown=countdown, max_retries=most)  # noqa: B904


@shared_task(bind=True, max_retries=1)
def hopeless(self: Any) -> None:
    self.retry(countdown=0)


@shared_task(bind=True)
def later(self: Any, eta: str) -> str:
    if self.request.retries:
        return "done"
    raise self.retry(eta=datetime.fromisoformat(eta))


@shared_task(bind=True)
def of_another(self: Any, **given: Any) -> None:
    self.retry(**given)


@shared_task(
    autoretry_for=(CarrierError,),
    dont_autoretry_for=(ClosedError,),
    retry_backoff=2,
    retry_backoff_max=5,
    retry_jitter=False,
    max_retries=3,
)
def carried(kind: str) -> None:
    calls.append(kind)
    raise {"busy": BusyError, "closed": ClosedError, "value": ValueError}[kind](kind)


@shared_task(autoretry_for=(BusyError,), retry_kwargs={"max_retries": 1, "countdown": 0})
def once_more() -> None:
    raise BusyError("again")


@shared_task(bind=True, autoretry_for=(BusyError,), max_retries=5)
def gives_up(self: Any) -> None:
    calls.append(self.request.retries)
    self.retry(exc=BusyError("busy"), countdown=0, max_retries=1)


@shared_task(bind=True, autoretry_for=(BusyError,), max_retries=None, default_retry_delay=0)
def patient(self: Any) -> int:
    if self.request.retries < 5:
        raise BusyError("not yet")
    return int(self.request.retries)


@shared_task(autoretry_for=(BusyError,), max_retries=None, retry_backoff=True)
def impatient() -> None:
    raise BusyError("never")


@shared_task(soft_time_limit=0.2, time_limit=10)
def endless() -> str:
    try:
        while True:
            time.sleep(0.01)
    except SoftTimeLimitExceeded:
        return "stopped"


@shared_task(soft_time_limit=0.2, autoretry_for=(Exception,), retry_kwargs={"countdown": 3600})
def endless_again() -> None:
    while True:
        time.sleep(0.01)


@shared_task(bind=True, soft_time_limit=0.2)
def endless_by_hand(self: Any) -> None:
    try:
        while True:
            time.sleep(0.01)
    except SoftTimeLimitExceeded as error:
        raise self.retry(exc=error, countdown=3600)  # noqa: B904


@shared_task(soft_time_limit=0.2, autoretry_for=(ValueError,))
def endless_once() -> None:
    while True:
        time.sleep(0.01)


@shared_task(ignore_result=True)
def instance() -> object:
    return object()


@shared_task
def unstorable() -> object:
    return object()


@shared_task(bind=True)
def reporting(self: Any) -> None:
    self.update_state(state="PROGRESS", meta={"current": 3, "at": date(2026, 1, 2)})
    calls.append(self.request.id)
    gate.wait(30)


@shared_task
def missing(key: Any) -> None:
    raise KeyError(key)


@shared_task
def waiting_for_another() -> Any:
    return add.delay(1).get(timeout=1)


@shared_task
def waiting_for_others() -> Any:
    return group(add.s(1), add.s(2)).delay().get(timeout=1)


@shared_task
def outer() -> list[Any]:
    inner = about(1)
    return [inner["called_directly"], about.request.id, outer.request.called_directly]


@shared_task(bind=True, unique=Unique("key"))
def one_at_a_time(self: Any, key: UUID) -> UUID:
    return key


@shared_task(bind=True)
async def coroutine(self: Any, number: int) -> int:
    return number + int(self.request.retries)


@shared_task(bind=True, executor="process")
def in_a_process(self: Any, number: Decimal) -> Decimal:
    if not self.request.retries:
        raise self.retry(countdown=0)
    return number + 1


@shared_task(delivery="at_most_once")
def charge(amount: Decimal) -> str:
    logger.info("charging %s", amount)
    return f"{amount:.2f}"


def unused(a: int = 0) -> int:
    return a


def of_every_type() -> dict[str, Any]:
    return {
        "uuid": UUID(int=7),
        "datetime": datetime(2026, 3, 29, 2, 30),
        "date": date(2026, 3, 29),
        "time": datetime(2026, 3, 29, 2, 30).time(),
        "decimal": Decimal("1.20"),
        "bytes": b"abc",
        "other bytes": b"\xff\x00",
        "nested": [{"id": UUID(int=1)}, [Decimal("NaN").is_nan()]],
        "plain": {"a": [1, 2.5, None, True, "ü"]},
    }


@shared_task
def leave() -> None:
    sys.exit(3)


@shared_task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@shared_task
def note(*args: Any) -> None:
    calls.append(args)


@shared_task
def next_day(day: date) -> date:
    return date.fromordinal(day.toordinal() + 1)


@shared_task
async def triple(number: int) -> int:
    return number * 3


@shared_task
def fail_once(number: int) -> int:
    calls.append("fail_once")
    if calls.count("fail_once") == 1:
        raise BusyError("busy")
    return number
