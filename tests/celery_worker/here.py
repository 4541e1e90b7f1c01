"""A Celery worker in this process, which executes what is ready and ends: for tests of behavior."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from celery.worker import WorkController, state
from celery.worker.control import Panel

from taskworks.backends.celery.queue_names import celery_queue
from taskworks.celery_worker import desk, leaving, step
from taskworks.framework import task_backends
from taskworks.models import TaskRun
from taskworks.worker import Options
from tests.celery_worker.app import app

start_desk = desk.Desk.start


class CeleryWorkerHere(WorkController):
    """The program ``celery worker``, without its signal handlers, its banner and its log."""

    label = ""

    def on_before_init(self, label: str = "", **options: Any) -> None:
        self.label = label
        self.app.steps["worker"].add(step.DeskStep)

    def setup_instance(self, **options: Any) -> None:
        self.hostname = self.label or self.hostname
        super().setup_instance(**options)

    def on_consumer_ready(self, consumer: Any) -> None:
        """Have the desks begin now: before, the pool may have no room, and they would end."""
        for one in self.taskworks._desks:
            start_desk(one)


def run_celery_worker(pool: str, *arguments: str, **options: Any) -> None:
    """
    As ``taskworks worker --batch`` with these arguments, as far as a Celery worker has such.
    Celery's main thread is this one.
    """
    given = _parsed(arguments, options)
    with _ended_by_its_desk(given), _panel_as_it_was():
        worker = CeleryWorkerHere(
            app=app,
            label=given.worker_id,
            pool=pool,
            concurrency=given.threads,
            queues=given.queues or _all_queues(),
            exclude_queues=given.exclude_queues,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        try:
            worker.start()
        except BaseException:  # a test that is cut off; the next one must not meet this worker
            worker.terminate()
            raise
        finally:
            state.should_stop = None
            app.amqp.queues.consume_from.clear()
    assert not any(one.has_failed for one in worker.taskworks._desks)


def _parsed(arguments: tuple[str, ...], options: dict[str, Any]) -> Namespace:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--worker-id", default="")
    parser.add_argument("--max-tasks", type=int)
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--queues", type=_celery_names, default=[])
    parser.add_argument("--exclude-queues", type=_celery_names, default=[])
    # Which a Celery worker has in any number.
    parser.add_argument("--async-slots")
    parser.add_argument("--task-processes")
    given = parser.parse_args(arguments)
    vars(given).update(options)
    return given


def _celery_names(names: str) -> list[str]:
    backend = task_backends["default"]
    return [celery_queue(backend, app, name) for name in names.split(",")]


def _all_queues() -> list[str]:
    """It cannot consume every queue there is, so it consumes those of which somebody has heard."""
    names = {*task_backends["default"].queues, "default"}
    names |= {*TaskRun.objects.values_list("queue_name", flat=True).distinct()}
    return [celery_queue(task_backends["default"], app, name) for name in sorted(names)]


@contextmanager
def _ended_by_its_desk(given: Namespace) -> Iterator[None]:
    """While this lasts, a desk ends when nothing is left to do, and Celery then stops."""
    with pytest.MonkeyPatch.context() as patched:
        options = {"batch": True, "max_tasks": given.max_tasks, "interval": given.interval}
        patched.setattr(desk, "Options", partial(Options, **options))
        patched.setattr(desk.Desk, "start", lambda self: None)
        patched.setattr(step, "_backends_of", lambda app: [task_backends["default"]])
        patched.setattr(step, "leave", _refuse_to_leave)
        patched.setattr(leaving, "leave", _refuse_to_leave)
        yield


def _refuse_to_leave() -> None:
    raise AssertionError("A task cannot be stopped; a Celery worker would end its process.")


@contextmanager
def _panel_as_it_was() -> Iterator[None]:
    """Of a process's first worker, Celery's commands do not tell of the next ones."""
    before = dict(Panel.data)
    try:
        yield
    finally:
        Panel.data.clear()
        Panel.data.update(before)
