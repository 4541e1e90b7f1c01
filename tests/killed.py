"""A process that dies between two statements of what it does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db import connection, connections

from tests.connections import elsewhere


class _KilledError(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def killed_between(action: Callable[[], object], at_least: int) -> Iterator[None]:
    """
    Let a session do this again and again: it dies before its first statement, before its second,
    and so on, until it gets to the end; which must take at least so many times.
    """
    times = 0
    while elsewhere(partial(_is_killed, action, before=times)):
        yield
        times += 1
    assert times >= at_least


def _is_killed(action: Callable[[], object], before: int) -> bool:
    """Whether it has so many statements; its session ends as the server ends a dead one's."""
    try:
        with _killed(before):
            action()
    except _KilledError:
        connections["default"].close()
        return True
    return False


@contextmanager
def _killed(before: int) -> Iterator[None]:
    sent = 0

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal sent
        if sent == before:
            raise _KilledError
        sent += 1
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        yield
