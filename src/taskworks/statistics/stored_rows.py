"""Rows that are read and deleted by their ids, some at a time."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar
from uuid import UUID

from django.db.models import Model

from taskworks.store import Store

Row = TypeVar("Row", bound=Model)

IDS_PER_QUERY = 500


def rows_with(store: Store, model: type[Row], ids: Iterable[UUID]) -> Iterator[Row]:
    """Yield those rows of the model that are stored."""
    for some in _chunks([*ids]):
        yield from model._default_manager.using(store.alias).filter(pk__in=some)


def delete_rows(store: Store, model: type[Model], ids: Iterable[UUID]) -> None:
    """Delete them in the order of their ids: who inserts one of them would wait for another."""
    for some in _chunks(sorted(ids)):
        rows = model._default_manager.using(store.alias).filter(pk__in=some)
        rows._raw_delete(store.alias)


def _chunks(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), IDS_PER_QUERY):
        yield ids[start : start + IDS_PER_QUERY]
