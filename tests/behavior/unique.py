"""Tasks that are unique in every way."""

import enum
from typing import Any

from taskworks import Debounce, TaskContext, Unique, task


class Mode(enum.Enum):
    QUICK = "quick"


@task(unique=Unique("customer"))
def sync(customer: Any, reason: str = "") -> None: ...


@task(unique=Unique())
def by_all(a: Any, b: Any = 2, *rest: Any, **more: Any) -> None: ...


@task(unique=Unique("name"), takes_context=True)
async def with_context(context: TaskContext, name: str) -> None: ...


@task(unique=Unique("customer", on_conflict="refuse"))
def refused(customer: int) -> None: ...


@task(unique=Unique("customer", on_conflict="supersede"))
def superseded(customer: int) -> None: ...


@task(unique=Unique("customer", on_conflict="replace"))
def replaced(customer: int, reason: str = "") -> None: ...


@task(unique=Debounce("doc", wait=30, longest=300))
def index(doc: int, version: int) -> None: ...


@task
def plain(customer: Any, mode: Any = Mode.QUICK) -> None: ...


class Elsewhere:
    """Not at the top of its module."""

    @staticmethod
    def function(customer: int) -> None: ...
