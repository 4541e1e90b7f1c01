"""What does not depend on the database runs once, with SQLite."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.test import TransactionTestCase

ROOT = Path(__file__).parent
# A test elsewhere says so by the marker `any_database`.
FOLDERS = [ROOT / "example", ROOT / "framework", ROOT / "unit"]


# What Django's flush would empty, and fill again after every test.
KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def pytest_configure() -> None:
    TransactionTestCase._fixture_teardown = _delete_all_rows


def _delete_all_rows(test: Any) -> None:
    """Instead of TRUNCATE, which takes the servers a tenth of a second and more for each test."""
    for alias in test._databases_names(include_mirrors=False):
        connection = connections[alias]
        tables = connection.introspection.django_table_names(include_views=False)
        with (
            connection.constraint_checks_disabled(),
            transaction.atomic(using=alias),
            connection.cursor() as cursor,
        ):
            for table in sorted({*tables} - KEPT):
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if settings.DATABASE == "sqlite":
        return
    once = [item for item in items if _is_for_any_database(item)]
    config.hook.pytest_deselected(items=once)
    items[:] = [item for item in items if item not in once]


def _is_for_any_database(item: pytest.Item) -> bool:
    marked = item.get_closest_marker("any_database") is not None
    return marked or any(folder in item.path.parents for folder in FOLDERS)
