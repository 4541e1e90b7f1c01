"""What does not depend on the database runs once, with SQLite."""

import os
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.test import TransactionTestCase

ROOT = Path(__file__).parent
# A test elsewhere says so by the marker `any_database`.
FOLDERS = [ROOT / "example", ROOT / "framework", ROOT / "unit"]


# They take minutes: in CI, and when they are asked for.
THOROUGH = [ROOT / "stopping", ROOT / "faults"]
THOROUGH_ON_SERVERS = [ROOT / "processes", ROOT / "faces", ROOT / "testing"]
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
            cursor.execute("DELETE FROM django_content_type WHERE app_label = 'tests'")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if _is_left_out(config, item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_left_out(config: pytest.Config, item: pytest.Item) -> bool:
    folders = THOROUGH
    if settings.DATABASE != "sqlite":
        if _is_for_any_database(item):
            return True
        folders = [*THOROUGH, *THOROUGH_ON_SERVERS]
    is_thorough = any(folder in item.path.parents for folder in folders)
    return is_thorough and not _is_asked_for(config, item)


def _is_asked_for(config: pytest.Config, item: pytest.Item) -> bool:
    """In CI, on the command line by its path, or by TASKWORKS_TEST_THOROUGHLY."""
    if os.environ.get("TASKWORKS_TEST_THOROUGHLY", os.environ.get("CI")) == "true":
        return True
    return is_named(config, item)


def is_named(config: pytest.Config, item: pytest.Item) -> bool:
    """Whether the command line has its path."""
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    return any(path != ROOT and (path == item.path or path in item.path.parents) for path in named)


def _is_for_any_database(item: pytest.Item) -> bool:
    marked = item.get_closest_marker("any_database") is not None
    return marked or any(folder in item.path.parents for folder in FOLDERS)
