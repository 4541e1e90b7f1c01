"""Celery's exceptions, as far as tasks raise or catch them."""

import builtins
from datetime import datetime, timedelta
from typing import Any, NoReturn

from taskworks.celery.not_carried import refuse_name
from taskworks.exceptions import OutOfTime, TaskException
from taskworks.retry import Retry as EngineRetry

# Unlike Celery's it is not an Exception, so ``except Exception`` does not keep a task running.
SoftTimeLimitExceeded = OutOfTime
TimeoutError = builtins.TimeoutError  # noqa: A001 - as Celery has it


class Retry(EngineRetry):
    """Raised by ``retry()``: the attempt has failed with ``exc``, and there will be another."""

    def __init__(
        self,
        message: str = "",
        exc: BaseException | None = None,
        when: float | timedelta | datetime | None = None,
    ) -> None:
        """``when`` is the delay in seconds, or the moment of the next attempt; None: 0 seconds."""
        after = 0.0 if when is None or isinstance(when, datetime) else when
        super().__init__(message or _reason(exc, when), after=after)
        self.message, self.exc, self.when = message, exc, when

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.exc, self.when)


class MaxRetriesExceededError(TaskException):
    """The task has been retried as often as it may be."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """``task_args`` and ``task_kwargs`` are those of the task, as in Celery."""
        self.task_args = kwargs.pop("task_args", [])
        self.task_kwargs = kwargs.pop("task_kwargs", {})
        super().__init__(*args, **kwargs)


class TaskRevokedError(TaskException):
    """The run was cancelled, or has expired, so there is no result."""


def _reason(exc: BaseException | None, when: Any) -> str:
    due = f"at {when}" if isinstance(when, datetime) else f"in {when or 0} s"
    return f"Retry {due}{'' if exc is None else f': {exc!r}'}"


def __getattr__(name: str) -> NoReturn:
    refuse_name(__name__, name)
