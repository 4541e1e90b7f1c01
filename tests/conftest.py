"""Which tests run on which database, and how its tables are emptied between them."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLiteWrapper
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from taskworks.database.clock import DatabaseClock
from tests.effort import IN_THE_MATRIX, THOROUGH
from tests.leftovers import drop_leftovers

ROOT = Path(__file__).parent
# They do not depend on the database, and so run with SQLite alone. A test elsewhere says so by the
# marker `any_database`.
ANY_DATABASE = [
    ROOT / "client",
    ROOT / "example",
    ROOT / "execution",
    ROOT / "framework",
    ROOT / "management",
    ROOT / "options",
    ROOT / "parameters",
    ROOT / "timetables",
    ROOT / "worker" / "pools",
    ROOT / "worker" / "claiming" / "test_poll_schedule.py",
    *ROOT.glob("test_*.py"),
]
# They take minutes, or half of one, and so run in a thorough run alone.
SLOW = [
    ROOT / "stopping",
    ROOT / "faults",
    ROOT / "processes" / "test_deaths.py",
    ROOT / "processes" / "test_supervisor.py",
    ROOT / "endpoints" / "test_deaths.py",
    ROOT / "example" / "test_in_browser.py",
    ROOT / "schedules" / "test_many_schedulers.py",
]
# They take half a minute, and so run with each Python and Django, but not every day.
NOT_EVERY_DAY = [ROOT / "processes" / "test_worker_process.py"]
# What they show is no database's doing, and their SQL has tests of its own elsewhere: with SQLite
# they run every day, with the servers in a thorough run. So does what is marked
# `thorough_on_servers`.
THOROUGH_ON_SERVERS = [
    ROOT / "conformance",
    ROOT / "docs",
    ROOT / "faces",
    ROOT / "processes",
    ROOT / "testing",
    ROOT / "typed",
]
# They say nothing of this Python or Django, and so run with the first pair alone.
ONCE = [
    ROOT / "client" / "test_in_node.py",
    ROOT / "client" / "test_on_a_page.py",
    ROOT / "faces" / "test_admin_in_browser.py",
]
# What Django's flush would empty, and fill again after every test.
KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def pytest_configure() -> None:
    TransactionTestCase._fixture_teardown = _delete_all_rows
    # Django 6.1 checks JSONFields, which django-tasks-db has, with a query: also in tests that have
    # no database.
    SQLiteWrapper.features_class.supports_json_field = True


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_blocker: DjangoDbBlocker) -> None:
    """Before the databases of this run are made."""
    with django_db_blocker.unblock():
        drop_leftovers()


@pytest.fixture(autouse=True)
def _server_s_clock(_python_s_clock: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's own, as in production, except where the test kit itself is tested."""
    monkeypatch.setattr(DatabaseClock, "is_python_s", False)


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
            _execute_all(
                connection.vendor,
                cursor,
                [
                    *(
                        f"DELETE FROM {connection.ops.quote_name(table)}"
                        for table in sorted({*tables} - KEPT)
                    ),
                    "DELETE FROM django_content_type WHERE app_label = 'tests'",
                ],
            )


def _execute_all(vendor: str, cursor: Any, statements: list[str]) -> None:
    """In one go where a server is far away: there are dozens of them after each test."""
    if vendor == "sqlite":
        for statement in statements:
            cursor.execute(statement)
    else:
        cursor.execute("; ".join(statements))
        while cursor.nextset():
            pass


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = {item for item in items if _is_left_out(config, item)}
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


def _is_left_out(config: pytest.Config, item: pytest.Item) -> bool:
    if IN_THE_MATRIX and _is_in(ONCE, item):
        return True
    on_server = settings.DATABASE != "sqlite"
    if on_server and _is_in(ANY_DATABASE, item, "any_database"):
        return True
    if THOROUGH or is_named(config, item):
        return False
    if _is_in(SLOW, item) or (not IN_THE_MATRIX and _is_in(NOT_EVERY_DAY, item)):
        return True
    return on_server and _is_in(THOROUGH_ON_SERVERS, item, "thorough_on_servers")


def _is_in(paths: list[Path], item: pytest.Item, marker: str = "") -> bool:
    """Whether it is below one of the paths, or has the marker."""
    marked = bool(marker) and item.get_closest_marker(marker) is not None
    return marked or any(path in (item.path, *item.path.parents) for path in paths)


def is_named(config: pytest.Config, item: pytest.Item) -> bool:
    """Whether the command line has its path."""
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    return any(path != ROOT and (path == item.path or path in item.path.parents) for path in named)
