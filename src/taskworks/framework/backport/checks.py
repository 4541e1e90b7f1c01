"""The system check of the configured backends."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks


@checks.register
def check_tasks(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> Iterator[checks.CheckMessage]:
    """Yield the messages of the checks of all backends in TASKS."""
    from . import task_backends

    for backend in task_backends.all():
        yield from backend.check()
