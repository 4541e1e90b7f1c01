"""Cancel and retry a run for a person, through its own backend, and say what came of it."""

from enum import StrEnum
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.framework import task_backends
from taskworks.models import RunState, TaskRun


class Verdict(StrEnum):
    """What came of it."""

    CANCELLED = "cancelled"
    ASKED_TO_STOP = "asked to stop"  # a worker has it, and will see to it
    RETRIED = "retried"
    NOT_APPLICABLE = "not applicable"


class Answer(NamedTuple):
    """What came of it, and if nothing did, why: a sentence that fits every run alike."""

    verdict: Verdict
    reason: str = ""


def cancel(run: TaskRun) -> Answer:
    """Cancel a run, or ask its worker to; needs its id and backend only."""
    backend = _backend_that_can("cancel", run)
    if isinstance(backend, Answer):
        return backend
    try:
        if not backend.cancel(str(run.id)):
            return _not_applicable("It had finished before.")
        is_cancelled = backend.get_result(str(run.id)).is_cancelled
    except TaskResultDoesNotExist:
        return _not_applicable("It has been deleted.")
    return Answer(Verdict.CANCELLED if is_cancelled else Verdict.ASKED_TO_STOP)


def retry(run: TaskRun) -> Answer:
    """Make a failed or cancelled run ready again; needs its id and backend only."""
    backend = _backend_that_can("retry", run)
    if isinstance(backend, Answer):
        return backend
    try:
        retried = backend.retry(str(run.id))
    except TaskResultDoesNotExist:
        return _not_applicable("It has been deleted.")
    if retried:
        return Answer(Verdict.RETRIED)
    return _not_applicable(f"Only a {RunState.FAILED} or {RunState.CANCELLED} run is retried.")


def _backend_that_can(verb: str, run: TaskRun) -> Any:
    """The run's backend; an answer instead if it is gone, or cannot do that."""
    try:
        backend = task_backends[run.backend]
    except ImproperlyConfigured as error:
        return _not_applicable(
            f"Its backend {run.backend!r} is not in TASKS, or not in order: {error} "
            f"No other can {verb} it."
        )
    if not hasattr(backend, verb):
        return _not_applicable(
            f"Its backend {run.backend!r}, a {type(backend).__name__}, cannot {verb} runs."
        )
    return backend


def _not_applicable(reason: str) -> Answer:
    return Answer(Verdict.NOT_APPLICABLE, reason)
