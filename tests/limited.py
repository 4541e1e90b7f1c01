"""A shelf of tasks with limits."""

import threading
from typing import Any

from taskworks import Limit, TaskContext, task

IMPORTS = Limit("intake", by="tenant", at_once=2, total=5)
gates: dict[str, threading.Event] = {}  # of runs that a test holds, by tenant


@task(limit=IMPORTS)
def import_file(tenant: Any, path: str = "a") -> None:
    if tenant in gates:
        gates[tenant].wait(timeout=60)


@task(limit="intake", takes_context=True)
async def import_async(context: TaskContext, path: str, *, tenant: Any = "acme") -> None:
    return None


@task(limit=Limit("mailer", at_once=1))
def send(to: str) -> None:
    return None


@task(limit=Limit("rotation", by="tenant"))
def in_turn(tenant: str) -> None:
    return None


@task(limit=IMPORTS)
def import_and_tell(tenant: str) -> None:
    send.enqueue(tenant)
