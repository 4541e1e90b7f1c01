"""Runs that wait in the table of django-tasks-db."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import Error as DatabaseError
from django.db import models, router
from django.db.models import Count, TextField
from django.db.models.functions import Cast

from taskworks.database.transactions import writing
from taskworks.moving.waiting import CannotMove, Left, Waiting

READY, RUNNING = "READY", "RUNNING"
COLUMNS = ("args_kwargs", "priority", "task_path", "queue_name", "run_after", "enqueued_at")


class DjangoTasksDB:
    """
    The rows of a backend of django-tasks-db. What is moved is locked, and deleted in the
    transaction that stores it here, if the tables are in the same database.
    """

    def __init__(
        self, backend: str, queues: Sequence[str] | None, *, include_running: bool = False
    ) -> None:
        self._model = _model()
        self._alias = router.db_for_write(self._model)
        self._backend, self._queues = backend, queues
        self._states = [READY, RUNNING] if include_running else [READY]
        self._never = _never()
        _refuse_foreign_keys(self._model)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return ()  # but those of the database

    def keys(self) -> list[str]:
        rows = self._waiting().order_by("enqueued_at", "pk").annotate(key=_ID)
        try:
            return [*rows.values_list("key", flat=True)]
        except DatabaseError as error:
            raise CannotMove(
                f"The table of django-tasks-db in the database {self._alias!r} cannot be read. "
                f"Run 'manage.py migrate {self._model._meta.app_label}'. ({error})"
            ) from error

    def read(self, keys: Sequence[str]) -> Iterator[Waiting | Left]:
        ids: dict[str, UUID] = {}
        for key in keys:
            try:
                id_ = UUID(key)
            except ValueError:
                yield Left(key, None, f"Its id is not a UUID: {key!r}.")
            else:
                ids[str(id_)] = id_
        try:
            yield from [*self._found(ids)]
        except Exception:  # noqa: BLE001 - somebody has written nonsense into a row
            for key, id_ in ids.items():
                yield from self._found_or_left(key, id_)

    def _found_or_left(self, key: str, id_: UUID) -> Iterator[Waiting | Left]:
        try:
            yield from [*self._found({key: id_})]
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            yield Left(key, None, f"Its row cannot be read: {type(error).__name__}: {error}")

    def _found(self, ids: dict[str, UUID]) -> Iterator[Waiting | Left]:
        found = {row["pk"]: row for row in self._rows(ids.values()).values("pk", *COLUMNS)}
        for key, id_ in ids.items():
            if row := found.get(id_):
                yield self._waiting_run(key, row)

    def _waiting_run(self, key: str, row: dict[str, Any]) -> Waiting | Left:
        match row:
            case {
                "task_path": str(path),
                "args_kwargs": {"args": list(args), "kwargs": dict(kwargs)},
                "run_after": datetime() as run_after,
                "enqueued_at": datetime() as enqueued_at,
            }:
                return Waiting(
                    key=key,
                    run_id=row["pk"],
                    task_path=path,
                    args=args,
                    kwargs=kwargs,
                    queue_name=row["queue_name"],
                    priority=row["priority"],
                    run_after=None if run_after == self._never else run_after,
                    enqueued_at=enqueued_at,
                )
        path = row["task_path"]
        return Left(
            key,
            path if isinstance(path, str) else None,
            f"Its row is not one of django-tasks-db: {_excerpt(row)}.",
        )

    @contextmanager
    def holding(self, found: Sequence[Waiting]) -> Iterator[set[str]]:
        with writing(self._alias):
            # By the primary key alone and in its order, so that nobody can deadlock with this.
            rows = self._rows([one.run_id for one in found]).order_by("pk").select_for_update()
            locked = rows.values_list("pk", "status")
            yield {str(id_) for id_, state in locked if state in self._states}

    def remove(self, found: Sequence[Waiting]) -> None:
        self._rows([one.run_id for one in found])._raw_delete(self._alias)

    def remarks(self) -> list[str]:
        return [*self._about_running(), *self._about_other_backends()]

    def _about_running(self) -> Iterator[str]:
        rows = self._model._base_manager.using(self._alias)
        running = rows.filter(status=RUNNING, backend_name=self._backend).count()
        if running == 0 or RUNNING in self._states:
            return
        are, these, them = ("is", "it was", "it") if running == 1 else ("are", "these were", "them")
        yield (
            f"{running} more {are} marked as running. If no db_worker lives, {these} interrupted: "
            f"move {them} with --include-running."
        )

    def _about_other_backends(self) -> Iterator[str]:
        rows = self._model._base_manager.using(self._alias).filter(status=READY)
        others = rows.exclude(backend_name=self._backend).values("backend_name")
        counted = others.annotate(number=Count("pk")).order_by("backend_name")
        for alias, number in counted.values_list("backend_name", "number"):
            yield f"{number} more of the backend {alias!r}: use --from-backend {alias}."

    def _waiting(self) -> "models.QuerySet[Any]":
        rows = self._model._base_manager.using(self._alias)
        waiting = rows.filter(status__in=self._states, backend_name=self._backend)
        return waiting if self._queues is None else waiting.filter(queue_name__in=self._queues)

    def _rows(self, ids: Any) -> "models.QuerySet[Any]":
        return self._model._base_manager.using(self._alias).filter(pk__in=[*ids])


_ID = Cast("pk", TextField())  # so that one that is not a UUID does not hide the others


def _model() -> type[models.Model]:
    if not apps.is_installed("django_tasks_db"):
        raise CannotMove(
            "The rows of django-tasks-db can only be read while 'django_tasks_db' is in "
            "INSTALLED_APPS. Keep it there, and the package installed, until everything is moved."
        )
    return next(
        model
        for model in apps.get_models()
        if model.__module__ == "django_tasks_db.models" and model.__name__ == "DBTaskResult"
    )


def _never() -> datetime:
    """Return what stands for "no run_after" in the table."""
    from django_tasks_db.models import get_date_max

    never: datetime = get_date_max()
    return never


def _refuse_foreign_keys(model: type[models.Model]) -> None:
    for relation in model._meta.related_objects:
        raise CannotMove(
            f"{relation.related_model.__name__}.{relation.field.name} refers to the rows that this "
            "would delete. Make it a UUIDField first: a run that is moved keeps its id."
        )


def _excerpt(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={row[name]!r:.80}" for name in ("args_kwargs", "run_after"))
