"""What ``manage.py check`` says about schedules that code declares, and what settings allow."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core import checks
from django.core.exceptions import ImproperlyConfigured, ValidationError

from taskworks import discovery
from taskworks.conf import conf
from taskworks.documentation import page
from taskworks.schedules.callables import describe
from taskworks.schedules.declared import Declaration, declarations, refused

HINT = f"What a schedule may be: {page('reference/schedules')}"


@checks.register
def check_schedules(**kwargs: Any) -> list[checks.CheckMessage]:
    """What was refused, and what can only be told when all is imported."""
    if not apps.is_installed("taskworks"):
        return []
    discovery.task_modules()
    return [
        *(checks.Error(reason, hint=HINT, id="taskworks.E050") for reason in refused.values()),
        *(found for declaration in declarations.values() for found in _check(declaration)),
        *_check_allowed(),
        *_check_modules(),
    ]


@checks.register(checks.Tags.database)
def check_rows(databases: Sequence[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """What enabled schedules are to run and nobody could find: asked with ``--database``."""
    if not databases or not apps.is_installed("taskworks"):
        return []
    from taskworks.schedules import sync

    return [
        checks.Warning(
            f"The schedule {label!r} cannot fire: {reason}",
            hint="Deploy its code, or disable it: manage.py taskworks schedules --disable.",
            id="taskworks.W051",
        )
        for label, reason in sync.lost(databases)
    ]


def _check(declaration: Declaration) -> Iterator[checks.CheckMessage]:
    from taskworks.schedules import sync

    path = declaration.task.module_path
    try:
        describe(declaration.task)
        sync.validate(sync.draft(declaration))
    except ValidationError as error:
        yield checks.Error(sync.refusal(declaration, error), hint=HINT, id="taskworks.E050")
    except ValueError as error:
        yield checks.Error(
            f"The schedule {declaration.label!r} of {path} cannot run: {error}",
            hint="Define the task in an importable module, under its own name.",
            id="taskworks.E051",
        )


def _check_allowed() -> Iterator[checks.CheckMessage]:
    try:
        allowed = conf().schedule_callables
    except ImproperlyConfigured:  # which has an error of its own
        return
    for path in allowed:
        try:
            describe(path)
        except ValueError as error:
            yield checks.Error(
                f"TASKWORKS['SCHEDULE_CALLABLES'] has what cannot be scheduled: {error}",
                hint=HINT,
                id="taskworks.E052",
            )


def _check_modules() -> Iterator[checks.CheckMessage]:
    for name, reason in discovery.failed.items():
        yield checks.Warning(
            f"The module {name} cannot be imported, so that schedules which it declares are "
            f"unknown: {reason}",
            id="taskworks.W050",
        )
