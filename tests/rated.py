"""A shelf of tasks whose limits have rates, and that hold their keys."""

import threading
from datetime import timedelta
from typing import Any

from django.db import transaction

from taskworks import Limit, TaskContext, current_context, task
from tests.tasks import noop

gates: dict[str, threading.Event] = {}  # of runs that a test keeps in hand, by customer
API = Limit("api", by="customer", rate="50/s", burst=1)
SLOW = Limit("slow", by="customer", rate="1/h", burst=2)
HELD = Limit("held", by="customer")
OF_ALL = Limit("of all")
SECONDS: dict[str, Any] = {
    "an hour": 3600,
    "a long hour": timedelta(hours=1, seconds=5),
    "nothing": 0,
    "before": -1,
    "nan": float("nan"),
    "infinite": float("inf"),
    "years": timedelta(days=3650),
    "text": "30",
    "true": True,
}


@task(limit=API)
def call_api(customer: str) -> None:
    return None


@task(limit=SLOW)
def call_slowly(customer: str) -> None:
    return None


@task(limit=HELD, takes_context=True)
def be_told_to_wait(context: TaskContext, customer: str, wait: str = "") -> int:
    if customer in gates:
        gates[customer].wait(timeout=60)
    if wait and context.attempt == 1:
        context.hold(SECONDS[wait])
    return context.attempt


@task(limit=HELD, takes_context=True)
def be_told_at_a_gate(context: TaskContext, customer: str, gate: str, wait: str = "") -> None:
    if gate in gates:
        gates[gate].wait(timeout=60)
    if wait:
        context.hold(SECONDS[wait])


@task(limit=HELD, executor="process")
def be_told_in_a_process(customer: str, wait: str = "") -> None:
    context = current_context()
    if wait and context:
        context.hold(SECONDS[wait])


@task(limit=HELD, takes_context=True)
async def be_told_async(context: TaskContext, customer: str, wait: str = "") -> None:
    if wait:
        await context.ahold(SECONDS[wait])


@task(limit=HELD, takes_context=True, transactional=True, timeout=4)
def be_told_in_a_transaction(context: TaskContext, customer: str, wait: str = "") -> None:
    noop.enqueue()
    if wait:
        context.hold(SECONDS[wait])


@task(limit=HELD, takes_context=True)
def be_told_while_writing(context: TaskContext, customer: str, wait: str = "") -> None:
    with transaction.atomic():
        noop.enqueue()
        if wait:
            context.hold(SECONDS[wait])


@task(limit=OF_ALL)
def call_all() -> None:
    return None


@task(takes_context=True)
def hold_nothing(context: TaskContext, wait: str = "an hour") -> None:
    context.hold(SECONDS[wait])


@task(limit=HELD, backend="immediate", takes_context=True)
def be_told_at_once(context: TaskContext, customer: str) -> None:
    context.hold(3600)


@task(backend="immediate", takes_context=True)
def hold_nothing_at_once(context: TaskContext) -> None:
    context.hold(3600)
