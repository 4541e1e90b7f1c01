"""What a type checker knows of a task that was written for Celery; see sample.py."""

from typing import Any, assert_type

from taskworks.celery import App, AsyncResult, shared_task

app = App()


@shared_task
def add(a: int, b: int = 1) -> int:
    return a + b


@app.task
def double(a: int) -> int:
    return a * 2


@shared_task(bind=True, max_retries=3, autoretry_for=(ValueError,), retry_backoff=True)
def fetch(self: Any, url: str) -> bytes:
    return url.encode()


@shared_task(name="mail.send", queue="mail", acks_late=True)
def send(address: str) -> None: ...


@shared_task(bind=True)
async def crawl(self: Any, url: str) -> str:
    return url


def enqueue() -> None:
    assert_type(add.delay(1, b=2), AsyncResult[int])
    assert_type(add.delay(1).get(timeout=5), int)
    assert_type(double.delay(1).get(), int)
    assert_type(fetch.delay("https://example.com").get(), bytes)
    assert_type(fetch.apply_async(args=("x",), countdown=5), AsyncResult[bytes])
    assert_type(send.delay_on_commit("ada@example.com"), AsyncResult[None])
    assert_type(crawl.delay("https://example.com").get(), str)
    assert_type(add.apply((1,)).get(), int)
    assert_type(add(1), int)
    assert_type(fetch("https://example.com"), bytes)
    assert_type(add.enqueue(1).return_value, int)

    add.delay("1")  # type: ignore[arg-type]
    add.delay(1, c=2)  # type: ignore[call-arg]
    fetch.delay()  # type: ignore[call-arg]
    double.delay("1")  # type: ignore[arg-type]
    send.delay_on_commit(5)  # type: ignore[arg-type]
