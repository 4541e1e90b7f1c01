"""The base of systems whose tasks are in a Django project."""

import os
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar

from benchmarks.systems.system import System

SETTINGS = "benchmarks.project.settings"


class DjangoSystem(System):
    """Its tasks are in ``benchmarks.project``, whose settings include what it declares."""

    apps: ClassVar[list[str]]
    app: ClassVar[str]  # label of the app that has the tables, if there are any
    backend: ClassVar[str] = "django.tasks.backends.dummy.DummyBackend"
    options: ClassVar[dict[str, Any]] = {}
    tasks: ClassVar[str] = "benchmarks.project.standard_noops"
    task: ClassVar[str] = "noop"
    settings: ClassVar[dict[str, Any]] = {}  # further ones

    @property
    def backends(self) -> dict[str, Any]:
        """The setting ``TASKS``."""
        return {"default": {"BACKEND": self.backend, "QUEUES": [], "OPTIONS": self.options}}

    def open(self) -> None:
        os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
        import django

        django.setup()
        self.noop = getattr(import_module(self.tasks), self.task)

    def prepare(self) -> None:
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

    def clear(self) -> None:
        from django.apps import apps
        from django.core.management.color import no_style
        from django.db import connection

        models = apps.get_app_config(self.app).get_models()
        tables = [model._meta.db_table for model in models if model._meta.managed]
        flush = connection.ops.sql_flush(no_style(), tables, allow_cascade=True)
        connection.ops.execute_sql_flush(flush)

    def enqueue(self, numbers: Sequence[int]) -> None:
        enqueue = self.noop.enqueue
        for number in numbers:
            enqueue(number, "hello-world")

    def enqueue_in_transactions(self, numbers: Sequence[int]) -> None:
        from django.db import transaction

        enqueue, atomic = self.enqueue, transaction.atomic
        for number in numbers:
            with atomic():
                enqueue([number])

    async def enqueue_async(self, numbers: Sequence[int]) -> None:
        enqueue = self.noop.aenqueue
        for number in numbers:
            await enqueue(number, "hello-world")

    def enqueue_timed(self, number: int) -> tuple[float, float]:
        if self.place.store == "redis":  # with its own commit, if any
            return super().enqueue_timed(number)
        from django.db import transaction

        begin = time.monotonic()
        committed: list[float] = []
        with transaction.atomic():
            transaction.on_commit(lambda: committed.append(time.monotonic()))
            self.enqueue([number])
        return begin, committed[0]
