"""
Points at which a process is killed or frozen: before each statement of a verb of the store, before
its commit, and when it has ended.

A process that is started with a plan in its environment watches what it does. When its time has
come, it strikes itself at the point that the plan names; or at any other, once it has waited long
enough for that one. It notes which points it has passed, and at which it was struck.
"""

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

VARIABLE = "TASKWORKS_FAULTS_STRIKE"
OF_CLAIMS = ("claim", "claim_limited")
OF_ENDS = ("start", "finish", "requeue", "release", "hold_keys")
OF_ENQUEUES = ("enqueue", "enqueue_unique")
OF_CALLERS = (*OF_ENQUEUES, "transaction")
PATIENCE = 8.0  # seconds that one waits for a rare point
FIRST_WORD = re.compile(r"[A-Z]+")
TABLE = re.compile(r"taskworks_([a-z]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What befalls a process; ``after`` are the seconds from its first verb on."""

    notes: str  # a file
    after: float
    number: int  # of the signal
    point: str = ""  # any

    @classmethod
    def here(cls) -> "Plan":
        return cls(**json.loads(os.environ[VARIABLE]))

    @property
    def environ(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """What has befallen one, and which points it had passed by then."""

    pid: int
    number: int
    point: str
    passed: list[str]

    @property
    def is_of_caller(self) -> bool:
        return self.point.partition(":")[0] in OF_CALLERS

    @staticmethod
    def read(notes: Path) -> "list[Strike]":
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [Strike(**json.loads(line)) for line in lines]


class Points(AppConfig):
    """In INSTALLED_APPS of a process that has a plan."""

    name = "tests.faults"
    label = "faults_points"

    def ready(self) -> None:
        from taskworks.store import store

        self.watcher = Watcher(Plan.here())
        self.watcher.watch(type(store()))


@contextmanager
def within(verb: str) -> Iterator[None]:
    """A verb of the process's own, if it is watched."""
    if VARIABLE not in os.environ:
        yield
        return
    points = apps.get_app_config(Points.label)
    assert isinstance(points, Points)
    with points.watcher.within(verb):
        yield


class Watcher:
    """Knows in which verb each thread is, and strikes."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._verbs = threading.local()
        self._passed: dict[str, None] = {}
        self._began: float | None = None
        self._has_struck = False
        self._lock = threading.Lock()

    def watch(self, store: type[Any]) -> None:
        for verb in (*OF_CLAIMS, *OF_ENDS, *OF_ENQUEUES):
            setattr(store, verb, self._watched(verb, getattr(store, verb)))
        connection_created.connect(self._watch_connection, weak=False)
        commit = BaseDatabaseWrapper._commit

        def watched(connection: BaseDatabaseWrapper) -> Any:
            self._pass("COMMIT")
            return commit(connection)

        BaseDatabaseWrapper._commit = watched  # type: ignore[method-assign]

    def _watched(self, verb: str, do: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(do)
        def watched(*args: Any, **kwargs: Any) -> Any:
            with self.within(verb):
                return do(*args, **kwargs)

        return watched

    @contextmanager
    def within(self, verb: str) -> Iterator[None]:
        """In an outer verb the inner ones are no verbs of their own."""
        if getattr(self._verbs, "name", None):
            yield
            return
        self._verbs.name, self._verbs.counts = verb, {}
        try:
            yield
            self._pass("its end")
        finally:
            self._verbs.name = None

    def _watch_connection(self, connection: BaseDatabaseWrapper, **_: Any) -> None:
        if self._before not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._before)

    def _before(self, execute: Any, sql: str, *given: Any) -> Any:
        self._pass(_in_short(sql))
        return execute(sql, *given)

    def _pass(self, what: str) -> None:
        verb = getattr(self._verbs, "name", None)
        if not verb:
            return
        counts = self._verbs.counts
        counts[what] = counts.get(what, 0) + 1
        often = f" ({counts[what]})" if counts[what] > 1 else ""
        point = f"{verb}: {what}{often}"
        with self._lock:
            self._passed[point] = None
            if self._is_due(point):
                self._strike(point)

    def _is_due(self, point: str) -> bool:
        if self._has_struck:
            return False
        now = time.monotonic()
        if self._began is None:
            self._began = now
        waited = now - self._began - self._plan.after
        return waited >= 0 and (self._plan.point in ("", point) or waited >= PATIENCE)

    def _strike(self, point: str) -> None:
        self._has_struck = True
        note = Strike(
            pid=os.getpid(), number=self._plan.number, point=point, passed=[*self._passed]
        )
        with Path(self._plan.notes).open("a") as notes:
            notes.write(json.dumps(asdict(note)) + "\n")
        os.kill(os.getpid(), self._plan.number)


def _in_short(sql: str) -> str:
    word, table = FIRST_WORD.search(sql), TABLE.search(sql)
    return f"{word[0] if word else '?'} {table[1] if table else ''}".strip()
