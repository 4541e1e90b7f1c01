"""Cancel and retry a run for a person, and send it events, through its own backend."""

from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from django.utils.translation import gettext_noop as _

from taskworks.backends.shards import databases
from taskworks.exceptions import InvalidTaskBackend, TaskResultDoesNotExist
from taskworks.models import TaskRun, Workflow
from taskworks.options.tasks_setting import backend_of
from taskworks.sentences import Sentence, sentence
from taskworks.store import Store, alias_for, store_for
from taskworks.store.workflow_hopes import UNSUCCESSFUL
from taskworks.store.workflow_retries import is_being_deleted


class Verdict(StrEnum):
    """What an action has done."""

    CANCELLED = "cancelled"
    ASKED_TO_STOP = "asked to stop"  # a worker has it, and will stop it
    RETRIED = "retried"
    SENT = "sent"
    MADE_READY = "made ready"
    MOVED = "moved"
    DELETED = "deleted"
    NOT_APPLICABLE = "not applicable"


class Answer(NamedTuple):
    """What was done; if nothing was, why not, in a sentence that does not name the run."""

    verdict: Verdict
    reason: str = ""


def cancel(run: TaskRun) -> Answer:
    """Cancel a run, or ask its worker to; only its id and backend are needed."""
    backend = _backend_that_can("cancel", run)
    if isinstance(backend, Answer):
        return backend
    try:
        if not backend.cancel(str(run.id)):
            return _not_applicable(sentence(_("It had finished before.")))
        is_cancelled = backend.get_result(str(run.id)).is_cancelled
    except TaskResultDoesNotExist:
        return _not_applicable(why_missing(run))
    return Answer(Verdict.CANCELLED if is_cancelled else Verdict.ASKED_TO_STOP)


def retry(run: TaskRun, *, fresh: bool = False) -> Answer:
    """
    Make a failed or cancelled run ready again; only its id and backend are needed. ``fresh``
    forgets its steps, and the events that were sent to it.
    """
    backend = _backend_that_can("retry", run)
    if isinstance(backend, Answer):
        return backend
    try:
        retried = backend.retry(str(run.id), **({"fresh": True} if fresh else {}))
    except TaskResultDoesNotExist:
        return _not_applicable(why_missing(run))
    if retried:
        return Answer(Verdict.RETRIED)
    return _not_applicable(_why_not_retried(run))


def _why_not_retried(run: TaskRun) -> Sentence:
    store = store_for(run.backend)
    unsuccessful = store.runs.filter(id=run.id, state__in=UNSUCCESSFUL)
    workflow = unsuccessful.values_list("workflow", flat=True).first()
    reason = why_not_now(store, workflow) if workflow else None
    return reason or sentence(_("Only a failed or cancelled run can be retried."))


def why_not_now(store: Store, workflow: UUID) -> Sentence | None:
    """Return why nothing of a workflow can be retried now; None if something could."""
    row = store.what_prevents_retries(workflow)
    if row is None:
        return None
    if is_being_deleted(row):
        reason = _(
            "The workflow %(name)s ended long ago and is being deleted: nothing of it can be "
            "retried any more."
        )
    else:
        reason = _(
            "The workflow %(name)s is being cancelled: what has failed in it can be retried when "
            "that has ended."
        )
    return sentence(reason, name=repr(row.name))


def send(run: TaskRun, name: str, value: Any = None) -> Answer:
    """
    Send an event to a run; only its id and backend are needed. Raise TypeError or ValueError for a
    name or a value that cannot be stored.
    """
    backend = _backend_that_can("send", run, "send events to")
    if isinstance(backend, Answer):
        return backend
    try:
        sent = backend.send(str(run.id), name, value)
    except TaskResultDoesNotExist:
        return _not_applicable(why_missing(run))
    if sent:
        return Answer(Verdict.SENT)
    return _not_applicable(
        f"The event {name!r} was sent before, or the wait for it has timed out, or the run has "
        "succeeded."
    )


def _backend_that_can(verb: str, run: TaskRun, phrase: str | None = None) -> Any:
    """Return the run's backend, or an answer if it is gone or cannot do that."""
    try:
        backend = backend_of(run.backend)
    except InvalidTaskBackend as error:
        what = f"{phrase or verb} it"
        return _not_applicable(f"Its backend is gone: {error} No other backend can {what}.")
    if not hasattr(backend, verb):
        return _not_applicable(
            f"Its backend {run.backend!r}, a {type(backend).__name__}, cannot "
            f"{phrase or verb} runs."
        )
    return backend


def why_missing(row: TaskRun | Workflow) -> Sentence:
    """Return why the backend of a row that was read does not find it."""
    here, there = row._state.db, alias_for(row.backend)
    if here == there or here not in databases():  # it was read from a replica
        return sentence(_("It has been deleted."))
    moved = _(
        "It is in the database %(here)s, but TASKS says that its backend has its runs in "
        "%(there)s: set the DATABASE of the backend back to act on it."
    )
    return sentence(moved, here=repr(here), there=repr(there))


def _not_applicable(reason: str) -> Answer:
    return Answer(Verdict.NOT_APPLICABLE, reason)
