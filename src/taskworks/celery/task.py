"""``CeleryTask``: a task with the methods of Celery's."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import FrozenInstanceError, dataclass, fields
from datetime import datetime
from functools import cached_property, update_wrapper
from typing import Any, NoReturn, ParamSpec, TypeVar
from uuid import uuid4

from asgiref.sync import async_to_sync

from taskworks.celery import execution, states
from taskworks.celery.canvas import Signature
from taskworks.celery.exceptions import MaxRetriesExceededError
from taskworks.celery.not_carried import not_carried
from taskworks.celery.options import CeleryOptions, of_call
from taskworks.celery.outcomes import OF_CELERY
from taskworks.celery.request import Request, executing, request_of
from taskworks.celery.result import AsyncResult, EagerResult
from taskworks.celery.values import encoded
from taskworks.context import current_context
from taskworks.decorator import defined
from taskworks.definition import Task
from taskworks.exceptions import TaskCancelled
from taskworks.framework import ImmediateBackend
from taskworks.options.policy import MAX_ATTEMPTS
from taskworks.result import TaskResult
from taskworks.task_call import TaskCall

P = ParamSpec("P")
R = TypeVar("R")

OF_A_LATER_RUN = ("run_after", "expires")  # nothing waits if it is executed at once


@dataclass(frozen=True, kw_only=True)
class _Optioned(Task[P, R]):
    """Has Celery's options beside ours, and an ``__dict__`` for what tests replace."""

    celery: CeleryOptions


class CeleryTask(_Optioned[P, R]):
    """
    A task with the methods and attributes of Celery's, which is a task of Taskworks too: runs of it
    are enqueued, executed, shown and scheduled like any other.

    Attributes other than its options can be set, so that tests can put a mock in the place of
    ``delay``.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise not_carried(f"The class {cls.__qualname__} of tasks", "base")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIELDS:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if name in _FIELDS:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        object.__delattr__(self, name)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here, as a function. Nothing is stored or retried."""
        with executing(Request(task=self.name, args=args, kwargs=kwargs)):
            given = (self, *args) if self.celery.bind else args
            returned: R = self.run(*given, **kwargs)
            return returned

    # What it is.

    @cached_property
    def run(self) -> Callable[..., Any]:
        """The function itself, whose first argument is ``self`` with ``bind``."""
        function: Callable[..., Any] = self.func.__wrapped__  # type: ignore[attr-defined]
        return function

    @property
    def name(self) -> str:
        """Its name in Celery: the module and the function, or what the decorator was given."""
        return self.celery.name

    @cached_property
    def max_retries(self) -> int | None:
        """How often it is retried; it can be set."""
        return self.celery.max_retries

    @cached_property
    def default_retry_delay(self) -> float:
        """The seconds before a retry; it can be set."""
        return self.celery.default_retry_delay

    @property
    def request(self) -> Request:
        """The call that is being executed here."""
        return request_of(self.name)

    MaxRetriesExceededError = MaxRetriesExceededError

    # To enqueue it.

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Enqueue a run; see apply_async()."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """
        Enqueue a run, in the caller's transaction. ``options`` are countdown, eta, expires, queue,
        priority, time_limit and soft_time_limit.

        Raise TypeError for arguments that do not fit the function or are not JSON, NotCarried for
        an option that is not carried, ValueError for a value that is not valid; what
        ``Task.enqueue`` raises. Then nothing is written.
        """
        return self._applied(Task.enqueue, args, kwargs, options)

    def delay_on_commit(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Enqueue a run when the transaction commits; see apply_async_on_commit()."""
        return self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """
        Enqueue a run when the transaction commits, or at once if there is none. Unlike Celery's,
        the result has the id of the run already. Raise what ``apply_async`` raises, immediately.
        """
        return self._applied(Task.enqueue_on_commit, args, kwargs, options)

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
        """Enqueue a run, as any task of Taskworks, with the types of Celery's arguments."""
        return Task.enqueue(self, *encoded(args), **encoded(kwargs))

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
        """See enqueue()."""
        return await Task.aenqueue(self, *encoded(args), **encoded(kwargs))

    def enqueue_on_commit(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
        """See enqueue()."""
        return Task.enqueue_on_commit(self, *encoded(args), **encoded(kwargs))

    def enqueue_many(self, arguments: Any) -> Sequence[TaskResult[P, R]]:
        """See enqueue()."""
        return Task.enqueue_many(self, (encoded(item) for item in arguments))

    def step(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskCall:
        """Return this task with its arguments, as a step for a workflow; see enqueue()."""
        return Task.step(self, *encoded(args), **encoded(kwargs))

    # To make it a part of a chain, group or chord.

    def s(self, *args: Any, **kwargs: Any) -> Signature[R]:
        """Return its signature: these arguments come after the result of what is before it."""
        return self.signature(args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Signature[R]:
        """Return its immutable signature, which takes no result of what is before it."""
        return self.signature(args, kwargs, immutable=True)

    def signature(
        self,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        **others: Any,
    ) -> Signature[R]:
        """Return its signature, with options of ``apply_async``, which are validated."""
        return Signature(self, args, kwargs, {**(options or {}), **others}, immutable=immutable)

    subtask = signature

    def _applied(
        self,
        enqueue: Callable[..., TaskResult[..., R]],
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: dict[str, Any],
    ) -> AsyncResult[R]:
        given, named = self._fitting(args, kwargs)
        changes = of_call(self.name, options, self.expires)
        if isinstance(self.get_backend(), ImmediateBackend):
            changes = {name: v for name, v in changes.items() if name not in OF_A_LATER_RUN}
        task = self.using(**changes) if changes else self
        run = enqueue(task, *encoded(given), **encoded(named))
        return AsyncResult(run.id, task_name=self.name, _run=run)

    def _fitting(
        self, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of a call; raise TypeError if the function does not take them."""
        if not isinstance(args, list | tuple | None) or not isinstance(kwargs, Mapping | None):
            raise TypeError(
                f"The args of {self.name} must be a list or a tuple, and the kwargs a dict: "
                f"{args!r:.100}, {kwargs!r:.100}."
            )
        given, named = [*(args or ())], dict(kwargs or {})
        try:
            self.func.__signature__.bind(*given, **named)  # type: ignore[attr-defined]
        except TypeError as error:
            raise TypeError(f"{self.name}() does not take these arguments: {error}") from None
        return given, named

    # To execute it here.

    def apply(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        throw: bool = False,
        retries: int = 0,
        **options: Any,
    ) -> EagerResult[R]:
        """
        Execute a call here, with its retries, without waiting between them, and return the outcome.
        With ``throw``, raise what it raises. Nothing is stored. Options of ``apply_async`` have no
        effect, except that ``link`` and ``link_error`` raise NotCarried.
        """
        for name in ("link", "link_error"):
            if options.get(name):
                raise not_carried(f"The option {name} of a call of {self.name}", name)
        _, named = self._fitting(args, kwargs)
        request = Request(
            task=self.name,
            id=str(uuid4()),
            args=args or (),
            kwargs=named,
            retries=retries,
            called_directly=False,
            is_eager=True,
        )
        return self._outcome(request, throw=throw)

    def _outcome(self, request: Request, *, throw: bool) -> EagerResult[R]:
        run_id = str(request.id)
        try:
            if self.policy.executor == "async":
                returned = async_to_sync(execution.acall)(self, request)
            else:
                returned = execution.call(self, request)
        except TaskCancelled:
            raise
        except Exception as error:
            if throw:
                raise
            text = traceback.format_exc()
            return EagerResult(run_id, error, states.FAILURE, text, self.name)
        return EagerResult(run_id, returned, states.SUCCESS, None, self.name)

    # For use in the function.

    def retry(  # noqa: PLR0917 - as Celery has it
        self,
        args: None = None,
        kwargs: None = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> NoReturn:
        """
        Raise Retry, after which the run is executed again, in ``countdown`` seconds, at ``eta``, or
        after ``default_retry_delay``. If it has been retried ``max_retries`` times, raise ``exc``,
        or without one MaxRetriesExceededError.

        Outside of a run, ``exc`` is raised, or Retry. Other arguments raise NotCarried.
        """
        given = {"args": args, "kwargs": kwargs, "throw": None if throw else throw, **options}
        for name, value in given.items():
            if value is not None:
                raise not_carried(f"The argument {name}={value!r:.100} of retry()", name)
        request = self.request
        when = self._when(eta, countdown)
        most = self.max_retries if max_retries is None else max_retries
        execution.retry(self, exc, when, most, request)

    def _when(self, eta: datetime | None, countdown: float | None) -> float:
        if countdown is not None:
            return max(0.0, countdown)
        return self.default_retry_delay if eta is None else execution.seconds_until(eta)

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None, **kwargs: Any
    ) -> None:
        """
        Say a state of its own, and something about it: ``AsyncResult.state`` and ``info`` show
        them while it is executed. They are stored in the metadata of the run.

        Do nothing outside of a run. Raise NotCarried for the id of another run.
        """
        context = current_context()
        if context is None:
            return
        if task_id not in {None, context.task_result.id}:
            raise not_carried(f"The argument task_id={task_id!r} of update_state()", "update_state")
        context.metadata[OF_CELERY] = encoded({"state": state or states.STARTED, "meta": meta})
        context.save_metadata()

    def AsyncResult(self, task_id: str, **kwargs: Any) -> AsyncResult[R]:  # noqa: N802
        """Return the result of a run by its id."""
        return AsyncResult(task_id, task_name=self.name)

    # What is left with Celery.

    def _refuse(name: str) -> Callable[..., NoReturn]:  # type: ignore[misc] # noqa: N805
        def refuse(self: "CeleryTask[..., Any]", *args: Any, **kwargs: Any) -> NoReturn:
            raise not_carried(f"{self.name}.{name}()", name)

        return refuse

    chunks = _refuse("chunks")
    map = _refuse("map")
    starmap = _refuse("starmap")
    replace = _refuse("replace")
    add_to_chord = _refuse("add_to_chord")
    subtask_from_request = signature_from_request = _refuse("subtask_from_request")
    del _refuse


_FIELDS = frozenset(field.name for field in fields(_Optioned))


def made_of(
    function: Callable[..., Any], celery: CeleryOptions, options: Mapping[str, Any]
) -> CeleryTask[..., Any]:
    """
    Return a task of this function. How often it is retried is decided here, exception by exception,
    so the engine has no limit of its own, and retries nothing but Retry.
    """
    execute = execution.executed_by_workers(function, celery, lambda: task)
    task: CeleryTask[..., Any] = defined(
        CeleryTask, execute, celery=celery, max_attempts=MAX_ATTEMPTS, retry_on=(), **options
    )
    update_wrapper(task, function, updated=())
    return task
