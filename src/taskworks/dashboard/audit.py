"""Who did what: an entry in the admin's log where there is one, and a line in a log always."""

import logging
from typing import Any

from django.apps import apps
from django.db import models
from django.http import HttpRequest

from taskworks.logs import one_line

MAX_TEXT = 200  # characters of what was acted on

logger = logging.getLogger("taskworks.audit")


def record(request: HttpRequest, row: models.Model | type[models.Model], what: str) -> None:
    """
    Note that the user of the request has done something to a row, or to rows of a model. ``what``
    is a sentence, with no value that is masked elsewhere.
    """
    user = getattr(request, "user", None)
    name = user.get_username() if user is not None and user.is_authenticated else "anonymous"
    logger.info("%s: %s (%s)", one_line(name), one_line(what), one_line(str(_name_of(row))))
    if _has_entries() and user is not None and user.pk is not None:
        _add_entry(user, row, what)


def _has_entries() -> bool:
    needed = ("django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes")
    return all(map(apps.is_installed, needed))


def _add_entry(user: Any, row: models.Model | type[models.Model], what: str) -> None:
    from django.contrib.admin.models import CHANGE, LogEntry
    from django.contrib.contenttypes.models import ContentType

    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(row),
        object_id=str(row.pk) if isinstance(row, models.Model) else None,
        object_repr=str(_name_of(row))[:MAX_TEXT],
        action_flag=CHANGE,
        change_message=what,
    )


def _name_of(row: models.Model | type[models.Model]) -> Any:
    return row if isinstance(row, models.Model) else row._meta.verbose_name_plural
