"""System checks of the schedules that code declares, and of the callables that settings allow."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core import checks
from django.core.exceptions import ImproperlyConfigured, ValidationError

from taskworks import discovery
from taskworks.conf import conf
from taskworks.documentation import page
from taskworks.options.tasks_setting import unusable
from taskworks.timetables.callables import describe
from taskworks.timetables.declared import Declaration, declarations, refused

HINT = f"What a schedule may be: {page('reference/schedules')}"


@checks.register
def check_schedules(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report declarations that were refused, and problems that show once all is imported."""
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
    """Report enabled schedules whose code is gone; runs with ``check --database``."""
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
    except ImproperlyConfigured:  # another check reports it
        return
    for path in allowed:
        try:
            describe(path)
        except ValueError as error:
            yield checks.Error(
                f"TASKWORKS['SCHEDULE_CALLABLES'] names what cannot be scheduled: {error}",
                hint=HINT,
                id="taskworks.E052",
            )


def _check_modules() -> Iterator[checks.CheckMessage]:
    if any(unusable()):  # taskworks.E008, because of which no task can be defined
        return
    for name, reason in discovery.failed.items():
        yield checks.Warning(
            f"The module {name} cannot be imported, so the schedules that it declares are "
            f"unknown: {reason}",
            id="taskworks.W050",
        )
