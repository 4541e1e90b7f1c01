"""What a child process that is forked beside the worker's threads must leave to the parent."""

import gc
import sys
import threading
import time
from queue import SimpleQueue
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.db import connection, connections

from taskworks.celery_worker import forking
from tests.connections import begin_elsewhere
from tests.forks import exit_code_of

pytestmark = pytest.mark.django_db(transaction=True)


class OtherThread:
    """It has a connection, and uses it when it is asked to."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._ended = begin_elsewhere(self._work)
        self.ask()

    def ask(self) -> Any:
        self._asked.put(True)
        return self._answers.get(timeout=60)

    def end(self) -> None:
        self._asked.put(False)
        self._ended.result(timeout=60)

    def _work(self) -> None:
        while self._asked.get(timeout=60):
            self._answers.put(_query())
        connections.close_all()


def _query() -> int:
    # By itself: between two queries, nothing but the thread's own storage has the connection.
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return int(cursor.fetchone()[0])


def test_a_child_does_not_end_connections_of_threads() -> None:
    """Not even when their objects are destroyed, because their thread is not there."""
    other = OtherThread()

    def collect() -> int:
        gc.collect()
        return 0

    for _ in range(3):
        assert exit_code_of(collect) == 0
        assert other.ask() == 1
    other.end()


def test_not_even_if_it_closes_them() -> None:
    other = OtherThread()

    def close() -> int:
        inherited = [one for one in forking._inherited if one.connection]
        for wrapper in inherited:
            wrapper.connection.close()
        return len(inherited)

    assert exit_code_of(close) >= 1
    assert other.ask() == 1
    other.end()


def test_the_connection_of_the_thread_that_forks_is_left_alone() -> None:
    """A task may fork, and use it in the child while it waits for that."""

    assert _query() == 1
    assert exit_code_of(_query) == 1


@pytest.mark.any_database
def test_a_fork_waits_for_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    class Finder:
        """Of a module whose code waits."""

        def find_spec(self, name: str, *of_import: Any) -> Any:
            from importlib.machinery import ModuleSpec

            return ModuleSpec(name, self) if name == "a_slow_module" else None

        def create_module(self, spec: Any) -> None: ...

        def exec_module(self, module: ModuleType) -> None:
            begun.set()
            go.wait(60)
            module.is_complete = True  # type: ignore[attr-defined]

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    glances: list[float] = []

    def glance(seconds: float) -> None:
        glances.append(seconds)
        if len(glances) == 3:
            go.set()
        threading.Event().wait(seconds)

    monkeypatch.setattr(forking, "time", SimpleNamespace(sleep=glance, monotonic=time.monotonic))
    importing = begin_elsewhere(lambda: __import__("a_slow_module"))
    assert begun.wait(60)
    assert exit_code_of(lambda: int(sys.modules["a_slow_module"].is_complete)) == 1
    importing.result(timeout=60)
    assert len(glances) >= 3
    del sys.modules["a_slow_module"]
