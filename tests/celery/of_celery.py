"""Tasks of the real Celery, as other packages have them."""

from decimal import Decimal
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Ignore, Reject

calls: list[Any] = []


class CarrierError(Exception):
    """What may pass."""


@shared_task
def add(a: int, b: int = 1) -> int:
    return a + b


@shared_task(name="of_celery_send", queue="mail", priority=9, time_limit=60)
def send(address: str) -> str:
    return f"sent to {address}"


@shared_task(bind=True, max_retries=2, default_retry_delay=7)
def stubborn(self: Any, countdown: float | None = None) -> None:
    calls.append(self.request.retries)
    try:
        raise CarrierError("busy")
    except CarrierError as error:
        raise self.retry(exc=error, countdown=countdown)  # noqa: B904


@shared_task(autoretry_for=(CarrierError,), retry_backoff=2, retry_jitter=False, max_retries=3)
def carried() -> None:
    raise CarrierError("busy")


@shared_task(bind=True, max_retries=1)
def in_parts(self: Any, parts: list[str], *, throw: bool) -> str:
    calls.append((parts, self.request.retries))
    if "bad" in parts:
        self.retry(([p for p in parts if p == "bad"],), {"throw": throw}, countdown=0, throw=throw)
    return "sent"


@shared_task
def typed(amount: Decimal) -> Decimal:
    return amount + 1


@shared_task(bind=True)
def about(self: Any) -> dict[str, Any]:
    request = self.request
    return {"id": request.id, "eager": request.is_eager, "direct": request.called_directly}


@shared_task
def ignored() -> None:
    raise Ignore


@shared_task
def rejected() -> None:
    raise Reject("not today", requeue=False)


@shared_task(serializer="pickle")
def pickled() -> None: ...


class Noting(Task):  # type: ignore[misc]
    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        calls.append(("success", retval, task_id))

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        calls.append(("failure", str(exc), task_id))


@shared_task(base=Noting)
def noted(number: int) -> int:
    if number < 0:
        raise ValueError("negative")
    return number


@shared_task
def goes_on() -> None:
    goes_on.retry(countdown=60, throw=False)
