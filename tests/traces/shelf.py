"""Tasks that trace something themselves."""

import asyncio
import os
import threading
import time

import sentry_sdk
from asgiref.sync import sync_to_async
from opentelemetry import baggage

from taskworks import Snooze, TaskContext, task
from tests.traces.provider import provider

tracer = provider.get_tracer("of the task")


def inside() -> str:
    with tracer.start_as_current_span("inside") as span:
        span.set_attribute("thread", threading.current_thread().name)
    return f"for {baggage.get_baggage('customer')}"


@task(queue_name="mail")
def traced() -> str:
    return inside()


@task(queue_name="mail")
async def traced_async() -> str:
    inside()
    return await sync_to_async(inside)()


@task(queue_name="mail", executor="process")
def traced_in_child() -> str:
    return inside()


class Broken(Exception):  # noqa: N818 - as a project may name it
    pass


def break_(text: str) -> None:
    what_is_lost = "a local variable"
    raise Broken(text, what_is_lost)


@task(max_attempts=2, backoff=0)
def broken(text: str) -> None:
    break_(text)


@task(max_attempts=2, backoff=0)
async def broken_async(text: str) -> None:
    break_(text)


@task(max_attempts=2, backoff=0, executor="process")
def broken_in_child(text: str) -> None:
    break_(text)


@task(max_attempts=3, backoff=0, takes_context=True)
def works_in_the_end(context: TaskContext) -> str:
    if context.attempt < 3:
        raise Broken(f"attempt {context.attempt}")
    return "at last"


@task(executor="process")
def dies() -> None:
    os._exit(3)


@task
def snoozes() -> None:
    raise Snooze(after=60)


@task
def enqueues() -> str:
    return traced.enqueue().id


@task(timeout=0.1)
def cannot_be_stopped() -> None:
    time.sleep(3600)


@task(timeout=0.2)
def never_ends() -> None:
    while True:
        pass


@task(transactional=True, timeout=15)
def transactional(fails: bool) -> str:
    if fails:
        raise Broken("and is rolled back")
    return inside()


arrived: list[str] = []


@task(takes_context=True)
async def meets_another(context: TaskContext) -> None:
    """Fail when both are under way."""
    sentry_sdk.set_tag("own", context.task_result.id)
    sentry_sdk.add_breadcrumb(message=f"breadcrumb of {context.task_result.id}")
    arrived.append(context.task_result.id)
    while len(arrived) < 2:
        await asyncio.sleep(0.01)
    raise Broken("both are here")


@task(takes_context=True)
def forgets_metadata(context: TaskContext) -> None:
    context.metadata.clear()
    context.metadata["mine"] = 1
    context.save_metadata()
