from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from taskworks.models import Statistic
from taskworks.prometheus import collector, latest
from taskworks.store import Store
from taskworks.store import store as store_of
from tests.statistics.conftest import flushed  # noqa: F401 - a fixture

TOKEN = "s3cret-of-the-tests"
Labels = dict[str, str]
Value = Callable[..., float | None]
Settings = Any


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Each test has a process that has read nothing, reads at each scrape, and has a token."""
    monkeypatch.setattr(latest, "KEPT_FOR", 0.0)
    registry = collector.new_registry()
    monkeypatch.setattr(collector, "REGISTRY", registry)
    settings.ROOT_URLCONF = "tests.prometheus.urls"
    settings.TASKWORKS = {**settings.TASKWORKS, "METRICS_TOKEN": TOKEN}


@pytest.fixture
def store(transactional_db: None) -> Store:
    return store_of()


def scraped(client: Client | None = None) -> str:
    answer = (client or Client()).get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


class Metrics:
    """What was scraped."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for one in self.families.values() for sample in one.samples]

    def of(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        """The values of a metric by their labels."""
        found = [(frozenset(s.labels.items()), s.value) for s in self.samples if s.name == name]
        assert len(dict(found)) == len(found), f"{name} has labels twice"
        return dict(found)

    def value(self, name: str, **labels: str) -> float:
        """The value of the only series that has these labels."""
        wanted = {*labels.items()}
        [value] = [value for has, value in self.of(name).items() if has >= wanted]
        return value


def metrics() -> Metrics:
    return Metrics(scraped())


@contextmanager
def without_statistics() -> Iterator[None]:
    """A table is not there, so that the database refuses to answer."""
    table = Statistic._meta.db_table
    with connection.schema_editor() as editor:
        editor.alter_db_table(Statistic, table, f"{table}_away")
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(Statistic, f"{table}_away", table)
