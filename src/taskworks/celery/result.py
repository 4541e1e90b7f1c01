"""``AsyncResult``: Celery's handle of a run."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from django.db import DatabaseError

from taskworks.backends.database import database_backends
from taskworks.celery import states
from taskworks.celery.exceptions import TaskRevokedError
from taskworks.celery.exceptions import TimeoutError as CeleryTimeoutError
from taskworks.celery.group_result import GroupResult
from taskworks.celery.not_carried import not_carried, refuse_name
from taskworks.celery.outcomes import outcome_of, state_of
from taskworks.celery.values import decoded
from taskworks.context import current_context
from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.polling import wait_until
from taskworks.result import TaskResult

if TYPE_CHECKING:
    from taskworks.workflows import WorkflowResult

R = TypeVar("R")


class AsyncResult(Generic[R]):
    """
    A run by its id. Each attribute is read from the database, until the run has finished. As in
    Celery, a run that nobody knows is pending.
    """

    TimeoutError = CeleryTimeoutError

    def __init__(
        self,
        id: Any,  # noqa: A002 - as Celery has it
        backend: None = None,
        task_name: str | None = None,
        app: Any = None,
        parent: None = None,
        *,
        _run: TaskResult[..., R] | None = None,
    ) -> None:
        if id is None:
            raise ValueError(f"AsyncResult requires valid id, not {type(id)}")
        self.id = str(id)
        self.task_name = task_name
        self.parent: AsyncResult[Any] | GroupResult | None = None  # what is before it in a chain
        self._run = _run
        self._workflow: WorkflowResult | None = None

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncResult):
            return other.id == self.id
        return other == self.id if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.id, None, self.task_name)

    # What has become of it.

    @property
    def task_id(self) -> str:
        """Another name of ``id``."""
        return self.id

    def exists(self) -> bool:
        """Return whether there is such a run."""
        return self.run is not None

    @property
    def run(self) -> TaskResult[..., R] | None:
        """The run as it is now, which is how Taskworks shows it; None if nobody knows it."""
        if self._run is None or not self._run.is_finished:
            self._run = _latest(self._run) or _found(self.id)
        return self._run

    @property
    def state(self) -> str:
        """One of ``states``, or what the task itself has said by ``update_state``."""
        return state_of(self.run)

    status = state

    @property
    def result(self) -> Any:
        """
        What the task returned; the exception if it failed or will be retried; what it has said of
        itself while it is executed; None before.
        """
        return outcome_of(self.run)

    info = result

    @property
    def traceback(self) -> str | None:
        """The text of the last failure, None if there is none."""
        run = self.run
        return run.errors[-1].traceback if run and run.errors else None

    def ready(self) -> bool:
        """Return whether it has finished."""
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        """Return whether it has succeeded."""
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        """Return whether it has failed."""
        return self.state == states.FAILURE

    @property
    def date_done(self) -> datetime | None:
        """When it finished."""
        return run.finished_at if (run := self.run) else None

    @property
    def name(self) -> str | None:
        """The name of its task."""
        run = self.run
        return getattr(run.task, "name", run.task.module_path) if run else self.task_name

    @property
    def args(self) -> Any:
        """Its arguments."""
        return decoded(run.args) if (run := self.run) else None

    @property
    def kwargs(self) -> Any:
        """Its keyword arguments."""
        return decoded(run.kwargs) if (run := self.run) else None

    @property
    def queue(self) -> str | None:
        """The name of its queue."""
        return run.task.queue_name if (run := self.run) else None

    @property
    def retries(self) -> int | None:
        """How many attempts have failed."""
        return len(run.errors) if (run := self.run) else None

    # What one does with it.

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        *,
        callback: Callable[[str, Any], Any] | None = None,
        disable_sync_subtasks: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        on_message: None = None,
        on_interval: None = None,
    ) -> R:
        """
        Wait until it has finished, and return what the task returned; raise its exception if it
        failed, or return that if not ``propagate``.

        Raise TimeoutError after ``timeout`` seconds; TaskRevokedError if it was cancelled or has
        expired; TaskResultDoesNotExist if nobody knows it; RuntimeError in a task, which would take
        the place of the run that it waits for, unless not ``disable_sync_subtasks``.
        """
        if disable_sync_subtasks:
            refuse_in_a_task()
        for name, given in {"on_message": on_message, "on_interval": on_interval}.items():
            if given is not None:
                raise not_carried(f"The argument {name}={given!r:.100} of get()", name)
        run = self.run
        if run is None:
            raise TaskResultDoesNotExist(self.id)
        outcome = self._awaited(run, timeout)
        if propagate and isinstance(outcome, BaseException) and self._has_failed():
            raise outcome
        if callback is not None:
            callback(self.id, outcome)
        return outcome  # type: ignore[no-any-return]

    wait = get

    def _awaited(self, run: TaskResult[..., R], timeout: float | None) -> Any:
        """
        Return the outcome, once there is one: that of what is before it in a chain, if that has
        failed.
        """
        workflow = self._workflow
        if run.is_finished or workflow is None:
            if not run.is_finished:
                run.wait(timeout)
            return self.result
        wait_until(
            lambda: self._run_is_finished() or workflow._has_ended(), timeout, workflow._overdue
        )
        return self.result if self._run_is_finished() else _failure_before(self)

    def _run_is_finished(self) -> bool:
        return bool((run := self.run) and run.is_finished)

    def _has_failed(self) -> bool:
        return not self._run_is_finished() or self.state in states.PROPAGATE_STATES

    def maybe_throw(self, propagate: bool = True, callback: None = None) -> Any:
        """Raise the exception if it has failed; return the result, if any, otherwise."""
        if propagate and self.state in states.PROPAGATE_STATES:
            raise self.result
        return self.result

    def revoke(
        self,
        connection: None = None,
        terminate: bool = False,
        signal: Any = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Cancel it: if it waits, it never starts; if it is executed, it is interrupted."""
        run = self.run
        if run is None:
            raise TaskResultDoesNotExist(self.id)
        run.cancel()

    def forget(self) -> None:
        """Not carried: results are deleted by RETENTION."""
        raise not_carried("forget()", "forget")

    children = None


class EagerResult(AsyncResult[R]):
    """What ``apply()`` returns: the outcome of a call that was executed there and then."""

    def __init__(
        self,
        id: str,  # noqa: A002 - as Celery has it
        ret_value: Any,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(id, task_name=name)
        self._result, self._state, self._traceback = ret_value, state, traceback

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self.id,
            self._result,
            self._state,
            self._traceback,
            self.task_name,
        )

    run = None

    @property
    def state(self) -> str:
        return self._state

    status = state

    @property
    def result(self) -> Any:
        return self._result

    info = result

    @property
    def traceback(self) -> str | None:
        return self._traceback

    def get(self, *args: Any, **kwargs: Any) -> R:
        """Return what the task returned; raise its exception, or return that; see AsyncResult."""
        return self._get(*args, **kwargs)

    def _get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        *,
        disable_sync_subtasks: bool = True,
        **others: Any,
    ) -> R:
        if disable_sync_subtasks:
            refuse_in_a_task()
        return self.maybe_throw(propagate)  # type: ignore[no-any-return]

    wait = get

    def forget(self) -> None:
        """Do nothing: nothing is stored."""

    def revoke(self, *args: Any, **kwargs: Any) -> None:
        """It has been executed: as in Celery, only its outcome is discarded."""
        self._state, self._traceback = states.REVOKED, None
        self._result = TaskRevokedError("revoked")


def refuse_in_a_task() -> None:
    """Raise RuntimeError in a task, which is not to wait for another one."""
    if current_context() is not None:
        raise RuntimeError(
            "Never call result.get() within a task! It would keep a worker from executing what it "
            "waits for. Enqueue what is to follow at the end of the other task."
        )


def _failure_before(result: AsyncResult[Any] | GroupResult) -> BaseException | None:
    """Return the exception of the nearest result before this that has failed; None if none has."""
    before = result.parent
    if before is None:
        return None
    for one in _flat(before):
        if one.state in states.PROPAGATE_STATES:
            failure: BaseException = one.result
            return failure
    return _failure_before(before)


def _flat(result: Any) -> Iterator[Any]:
    if isinstance(result, GroupResult):
        for one in result.results:
            yield from _flat(one)
    else:
        yield result


def _latest(run: TaskResult[..., Any] | None) -> TaskResult[..., Any] | None:
    if run is None:
        return None
    with suppress(NotImplementedError, TaskResultDoesNotExist):  # it is not stored, or not yet
        run.refresh()
    return run


def _found(run_id: str) -> TaskResult[..., Any] | None:
    """Return the run, from whichever database answers; raise the error of one that does not."""
    errors: dict[str, DatabaseError] = {}
    for backend in database_backends():
        if backend.database in errors:
            continue
        try:
            return backend.get_result(run_id)
        except TaskResultDoesNotExist:
            continue
        except DatabaseError as error:
            errors[backend.database] = error
    if errors:
        raise next(iter(errors.values()))
    return None


def __getattr__(name: str) -> NoReturn:
    refuse_name(__name__, name)
