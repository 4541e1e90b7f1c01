"""Rows that are read and deleted by their ids, some at a time."""

from collections.abc import Iterable, Iterator
from typing import TypeVar
from uuid import UUID

from django.db.models import Model

from taskworks.chunks import in_chunks
from taskworks.store import Store

Row = TypeVar("Row", bound=Model)

IDS_PER_QUERY = 500


def rows_with(store: Store, model: type[Row], ids: Iterable[UUID]) -> Iterator[Row]:
    """Yield those rows of the model that are stored."""
    for some in in_chunks([*ids], IDS_PER_QUERY):
        yield from model._default_manager.using(store.alias).filter(pk__in=some)


def delete_rows(store: Store, model: type[Model], ids: Iterable[UUID]) -> None:
    """Delete them in the order of their ids: who inserts one of them would wait for another."""
    for some in in_chunks(sorted(ids), IDS_PER_QUERY):
        rows = model._default_manager.using(store.alias).filter(pk__in=some)
        rows._raw_delete(store.alias)
