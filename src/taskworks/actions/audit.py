"""
Who has done what to runs and other rows: a line of the logger ``taskworks.audit``, and an entry in
the history of Django's admin, if that is installed and a user has done it.
"""

import getpass
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.apps import apps
from django.db import models

from taskworks.backends.shards import elsewhere
from taskworks.logs import one_line, our_logger
from taskworks.models import TaskRun

logger = our_logger("taskworks.audit")

MAX_NAMED = 20  # runs, in a sentence
MAX_REPR = 200  # characters, in the admin's column


class Actor(NamedTuple):
    """Somebody who acts: a name, and the primary key of a user, if it is one."""

    name: str = ""
    user: Any = None


def actor_of(by: Any) -> Actor:
    """Return the actor that is a user, or has this name."""
    if isinstance(by, Actor):
        return by
    if isinstance(by, str):
        return Actor(by)
    return Actor(by.get_username(), by.pk)


def login() -> Actor:
    """Return who has started this process."""
    try:
        return Actor(getpass.getuser())
    except (KeyError, OSError):  # in a container, a user may have no name
        return Actor()


def record(
    actor: Actor, what: str, *, run: UUID | str | None = None, about: str = "", **facts: Any
) -> None:
    """
    Record that this was done: to a run, or to several, which ``about`` describes. The ``facts`` are
    for machines, as attributes of the log's record.
    """
    subject = about or f"run {run}"
    extra = {"by": actor.name, "action": what, "run": run and str(run), **facts}
    logger.info("%s: %s, %s", actor.name or "somebody", what, subject, extra=extra)
    _enter(actor, f"{what}: {subject}", TaskRun, run, str(run or "runs"))


def record_each(actor: Actor, what: str, runs: Sequence[UUID]) -> None:
    """Record that this was done to each of these runs, which somebody has selected: once."""
    if len(runs) == 1:
        record(actor, what, run=runs[0])
    elif runs:
        named = ", ".join(map(str, runs[:MAX_NAMED]))
        more = ", ..." if len(runs) > MAX_NAMED else ""
        ids = [str(run) for run in runs]
        record(actor, what, about=f"{len(runs):,} runs: {named}{more}", runs=ids, count=len(runs))


def record_of(actor: Actor, row: models.Model | type[models.Model], what: str) -> None:
    """Record that this was done to a row, or to rows of a model, for which its class stands."""
    is_row = isinstance(row, models.Model)
    name = str(row if is_row else row._meta.verbose_name_plural)
    id_ = row.pk if is_row else None
    if isinstance(row, models.Model) and (alias := elsewhere(row)):
        # In the admin, this number is that of another row, in the first database.
        name, id_ = f"{name}, in the database {alias}", None
    extra = {"by": actor.name, "action": what}
    logger.info("%s: %s (%s)", actor.name or "somebody", what, one_line(name), extra=extra)
    _enter(actor, what, row, id_, name)


def _enter(
    actor: Actor, text: str, row: models.Model | type[models.Model], id_: Any, name: str
) -> None:
    if actor.user is None or not apps.is_installed("django.contrib.admin"):
        return
    from django.contrib.admin.models import CHANGE, LogEntry
    from django.contrib.contenttypes.models import ContentType

    LogEntry.objects.create(
        user_id=actor.user,
        content_type=ContentType.objects.get_for_model(row),
        object_id=None if id_ is None else str(id_),
        object_repr=one_line(name)[:MAX_REPR],
        action_flag=CHANGE,
        change_message=one_line(text),
    )
