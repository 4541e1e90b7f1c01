"""The step by which a Celery worker begins to work for our backends, and ends that in time."""

import socket
import threading
from collections.abc import Callable
from typing import Any

from celery import bootsteps, signals
from celery.utils.threads import default_socket_timeout
from celery.worker import state
from django.core.exceptions import ImproperlyConfigured

from taskworks.backends.celery import CeleryBackend
from taskworks.backends.celery.celery_app import app_of
from taskworks.celery_worker.desk import Desk
from taskworks.celery_worker.kinds import SOLO, how_to_make_threads, kind_of, refuse_forks_on_sqlite
from taskworks.celery_worker.leaving import FAILURE, leave, leave_after_celery
from taskworks.celery_worker.main_thread import MainThread
from taskworks.celery_worker.main_thread_guard import handle_wake_ups
from taskworks.celery_worker.queues import ConsumedQueues, keep_what_is_consumed
from taskworks.celery_worker.remote_control import have_revoke_cancel
from taskworks.celery_worker.requests import RunRequest
from taskworks.celery_worker.tickets import HeldTickets, Ticket, TicketTask
from taskworks.execution import Attempt
from taskworks.framework import task_backends

COLD_WITHIN = 2.0  # seconds to give back runs when Celery shuts down cold


class DeskStep(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
    """
    Begins when the pool is there, whether or not there is a broker, and ends before the pool does:
    what waits is given back, and what is executed may come to its end. The process of ``-B`` is
    forked before there are threads.
    """

    label = "Taskworks"
    requires = ("celery.worker.components:Pool", "celery.worker.components:Beat")

    def __init__(self, celery_worker: Any, **options: Any) -> None:
        super().__init__(celery_worker, **options)
        self._celery_worker = celery_worker
        self._main_thread = MainThread(celery_worker)
        self._held = HeldTickets(self._main_thread)
        self._lock = threading.Lock()
        self._is_asked = self._is_cold = False

    def include_if(self, celery_worker: Any) -> bool:
        self._backends = _backends_of(celery_worker.app)
        return bool(self._backends)

    def create(self, celery_worker: Any) -> None:
        self._kind = kind_of(celery_worker)
        refuse_forks_on_sqlite(celery_worker, self._backends)
        keep_what_is_consumed(celery_worker.app)
        self._task = celery_worker.app.register_task(TicketTask())
        make_threads = how_to_make_threads(celery_worker, self._main_thread, self._request)
        self._desks = [
            Desk(backend, celery_worker, self._main_thread, make_threads, self._note_end)
            for backend in self._backends
        ]
        self._living = {*self._desks}
        celery_worker.taskworks = self  # for the tickets, and for remote control
        have_revoke_cancel(self._backends)

    def register_with_event_loop(self, celery_worker: Any, hub: Any) -> None:
        """Celery calls this with each connection to its broker."""
        self._main_thread.listen(hub)
        for desk in self._desks:
            desk.heed_new_connection()

    def start(self, celery_worker: Any) -> None:
        if self._kind == SOLO:
            handle_wake_ups()
        self._socket_timeout = socket.getdefaulttimeout()
        signals.worker_shutting_down.connect(self._heed_signal, weak=False)
        self._heed_cold_shutdown(celery_worker)
        self._held.begin(celery_worker.timer)
        for desk in self._desks:
            desk.start()

    def hear(self, ticket: Ticket) -> None:
        """Have all of them look for runs: a ticket has come."""
        self._held.add(ticket)
        for desk in self._desks:
            desk.hear(ticket)

    def facts(self) -> dict[str, Any]:
        """Return what ``inspect taskworks`` shows, by backend."""
        return {desk.backend.alias: desk.facts() for desk in self._desks}

    def _request(self, attempt: Attempt) -> RunRequest:
        return RunRequest(attempt, self._celery_worker, self._task, self.release)

    # Come to an end. Celery calls ``close``, and then one of the other two.

    def close(self, celery_worker: Any) -> None:
        self._ask()

    def stop(self, celery_worker: Any) -> None:
        self._ask()
        # Celery stops with a timeout for the sockets of the whole process, which is not for runs.
        with default_socket_timeout(self._socket_timeout):
            for desk in self._desks:
                desk.see_to_its_end()
        if self._leaves_tasks_behind:
            leave_after_celery(celery_worker, of_ours=lambda: self._executing)

    def terminate(self, celery_worker: Any) -> None:
        self.release()
        for desk in self._desks:
            desk.join(COLD_WITHIN)
            desk.end_what_is_executed()

    def release(self) -> None:
        """Give back all runs at once: Celery shuts down cold. Safe in a signal handler."""
        self._is_asked = self._is_cold = True
        for desk in self._desks:
            desk.release()
        self._leave_if_held_up()

    def _heed_cold_shutdown(self, celery_worker: Any) -> None:
        """
        Give back all runs before Celery cancels its own tasks, which fails for those that threads
        execute. Its signal comes after that. While it waits for its own tasks, by the setting
        ``worker_soft_shutdown_timeout``, runs may end too.
        """
        _surround(celery_worker, "wait_for_soft_shutdown", before=self._ask, after=self.release)
        _surround(celery_worker.consumer, "cancel_active_requests", before=self.release)

    def _heed_signal(self, how: str, **of_signal: Any) -> None:
        # Called in a signal handler, in the main thread, which may be executing a task.
        if how == "Cold":
            self.release()
        else:
            self._ask()

    def _ask(self) -> None:
        self._is_asked = True
        for desk in self._desks:
            desk.ask()

    def _note_end(self, desk: Desk) -> None:
        # Called in the thread of the desk.
        with self._lock:
            self._living.discard(desk)
        if not self._is_asked:
            self._stop_celery(desk)
        self._leave_if_held_up()

    def _stop_celery(self, desk: Desk) -> None:
        """Have Celery stop: a node that takes no runs must not look as if it did."""
        self._ask()
        was_asked_to = desk.worker.shutdown.is_requested and not desk.has_failed
        state.should_stop = 0 if was_asked_to else FAILURE
        self._main_thread.call_soon(lambda: None)  # wake it, to see that

    def _leave_if_held_up(self) -> None:
        """Leave at once if the main thread cannot, because of a task that does not stop."""
        if self._living or not self._leaves_tasks_behind:
            return
        if self._is_cold or (self._kind == SOLO and self._executing):
            leave()

    @property
    def _leaves_tasks_behind(self) -> bool:
        return any(desk.worker.leaves_tasks_behind for desk in self._desks)

    @property
    def _executing(self) -> int:
        """How many runs Celery's pool executes."""
        return sum(desk.executing for desk in self._desks)


def _surround(
    of_celery: Any, name: str, before: Callable[[], None], after: Callable[[], None] | None = None
) -> None:
    """Have a method of an object of Celery's call others, too. Older versions may lack it."""
    method = getattr(of_celery, name, None)
    if method is None:
        return

    def surrounded() -> None:
        before()
        try:
            method()
        finally:
            if after:
                after()

    setattr(of_celery, name, surrounded)


def _backends_of(app: Any) -> list[CeleryBackend]:
    """
    Return the backends in TASKS whose runs are for the workers of this app that consume what this
    one does.
    """
    backends = [task_backends[alias] for alias in task_backends]
    ours = [backend for backend in backends if isinstance(backend, CeleryBackend)]
    try:
        ours = [backend for backend in ours if app_of(backend) is app]
        return [backend for backend in ours if ConsumedQueues(backend, app).names]
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from error
