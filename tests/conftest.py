"""Which tests run on which database, and how its tables are emptied between them."""

import gc
import math
import signal
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLiteWrapper
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from taskworks.database.clock import DatabaseClock
from taskworks.management.process import STOP_SIGNALS
from taskworks.problems import of_databases
from tests.effort import EVERY_CASE, IN_THE_MATRIX, THOROUGH
from tests.hurry import hurry
from tests.leftovers import drop_leftovers
from tests.sharing import PART, PARTS, dealt_out, part_of, seconds_on

ROOT = Path(__file__).parent
# They do not depend on the database, and so run with SQLite alone. A test elsewhere says so by the
# marker `any_database`.
ANY_DATABASE = [
    ROOT / "celery_worker" / "test_stopping.py",
    ROOT / "client",
    ROOT / "example",
    ROOT / "execution",
    ROOT / "framework",
    ROOT / "management",
    ROOT / "options",
    ROOT / "parameters",
    ROOT / "processes" / "test_worker_process.py",
    ROOT / "rest" / "test_schemathesis.py",
    ROOT / "tickets" / "test_checks.py",
    ROOT / "tickets" / "test_trouble.py",
    ROOT / "timetables",
    ROOT / "worker" / "pools",
    ROOT / "worker" / "claiming" / "test_poll_schedule.py",
    *ROOT.glob("test_*.py"),
]
# They take minutes, or half of one, and so run in a thorough run alone.
SLOW = [
    ROOT / "celery_worker" / "test_stopping.py",
    ROOT / "stopping",
    ROOT / "faults",
    ROOT / "processes" / "test_deaths.py",
    ROOT / "processes" / "test_supervisor.py",
    ROOT / "endpoints" / "test_deaths.py",
    ROOT / "example" / "test_in_browser.py",
    ROOT / "schedules" / "test_many_schedulers.py",
]
# They take many seconds, and so run with each Python and Django, but not every day. So does what is
# marked `not_every_day`.
NOT_EVERY_DAY = [
    ROOT / "conformance" / "celery",
    ROOT / "dashboard" / "test_accessibility.py",
    ROOT / "dashboard" / "test_in_browser.py",
    ROOT / "dashboard" / "test_night_in_browser.py",
    ROOT / "dashboard" / "runs" / "test_in_browser.py",
    ROOT / "processes" / "test_worker_process.py",
]
# They say nothing of this Python or Django, and so run with the first pair alone.
ONCE = [
    ROOT / "celery_worker",
    ROOT / "benchmarks",
    ROOT / "client" / "test_in_node.py",
    ROOT / "client" / "test_on_a_page.py",
    ROOT / "conformance" / "celery",
    ROOT / "dashboard" / "test_accessibility.py",
    ROOT / "dashboard" / "test_in_browser.py",
    ROOT / "dashboard" / "test_night_in_browser.py",
    ROOT / "dashboard" / "runs" / "test_in_browser.py",
    ROOT / "example",
    ROOT / "faces" / "test_admin_in_browser.py",
    ROOT / "moving" / "test_guides.py",
    ROOT / "processes" / "test_closed_output.py",
    ROOT / "processes" / "test_worker_process.py",
    ROOT / "rest" / "test_schemathesis.py",
    ROOT / "shards",
    ROOT / "steps" / "test_deaths.py",
    ROOT / "store" / "test_parking_deaths.py",
    ROOT / "tickets" / "test_trouble.py",
    ROOT / "wakeup",
    ROOT / "worker" / "claiming" / "test_many_limits.py",
    ROOT / "worker" / "claiming" / "test_many_queues.py",
    ROOT / "worker" / "claiming" / "test_pauses.py",
    ROOT / "worker" / "test_nonsense.py",
    ROOT / "workflows" / "test_deaths.py",
]
# What even a thorough run shows on PostgreSQL alone of the servers: what asks the database for
# little, or for what is the same on any other.
ON_ONE_SERVER = [
    ROOT / "behavior" / "test_bad_ends.py",
    ROOT / "behavior" / "test_bad_input.py",
    ROOT / "behavior" / "test_context.py",
    ROOT / "behavior" / "test_defaults.py",
    ROOT / "behavior" / "test_execution.py",
    ROOT / "behavior" / "test_names.py",
    ROOT / "behavior" / "test_retries.py",
    ROOT / "behavior" / "test_tracebacks.py",
    ROOT / "behavior" / "test_worker.py",
    ROOT / "celery",
    ROOT / "celery_worker" / "test_behavior.py",
    ROOT / "celery_worker" / "test_executing.py",
    ROOT / "conformance",
    ROOT / "faces",
    ROOT / "moving" / "test_from_django_tasks_rq.py",
    ROOT / "stopping" / "test_cancel.py",
    ROOT / "stopping" / "test_stuck.py",
    ROOT / "tickets",
]
# What a thorough run shows on PostgreSQL alone, since it takes minutes.
ON_POSTGRESQL = [
    ROOT / "celery_worker" / "test_behavior.py",
]
# What shows nothing of a server: signals, pipes, child processes, and what is computed in memory. A
# thorough run has it with a server on request alone.
ON_NO_SERVER = [
    ROOT / "docs",
    ROOT / "processes" / "test_closed_output.py",
    ROOT / "processes" / "test_default_log.py",
    ROOT / "processes" / "test_supervisor.py",
    ROOT / "stopping" / "test_children.py",
    ROOT / "stopping" / "test_exits.py",
    ROOT / "stopping" / "test_guards.py",
    ROOT / "stopping" / "test_odd_ends.py",
    ROOT / "stopping" / "test_shutdown.py",
    ROOT / "testing",
    ROOT / "traces",
    ROOT / "typed",
]
# What runs on the servers every day, and with the last pair of Python and Django: what lies nearest
# to the database, without what is marked `thorough_on_servers`. The first pair runs everything in a
# thorough run.
ON_SERVERS = [
    ROOT / "behavior" / "test_bulk.py",
    ROOT / "behavior" / "test_on_commit.py",
    ROOT / "behavior" / "test_order.py",
    ROOT / "behavior" / "test_prune.py",
    ROOT / "behavior" / "test_transactional.py",
    ROOT / "behavior" / "test_unique.py",
    ROOT / "behavior" / "test_unique_elsewhere.py",
    ROOT / "database",
    ROOT / "duties",
    ROOT / "recording",
    ROOT / "statistics",
    ROOT / "store",
    ROOT / "worker",
]
# What runs on MariaDB with the last pair: the other tests ask it for nothing that these do not.
ON_SECOND_SERVER_IN_THE_MATRIX = [
    ROOT / "behavior" / "test_bulk.py",
    ROOT / "behavior" / "test_transactional.py",
    ROOT / "database",
    ROOT / "store",
]
# What a pair that is neither the first nor the last runs, on SQLite: what Python, Django, or a
# package that only this pair has, may break.
BETWEEN = [
    ROOT / "behavior" / "test_execution.py",
    ROOT / "conformance",
    ROOT / "database",
    ROOT / "execution",
    ROOT / "framework",
    ROOT / "moving",
    ROOT / "schedules",
    ROOT / "store",
    ROOT / "typed",
    ROOT / "worker",
]
FIRST_PYTHON, LAST_PYTHON = (3, 11), (3, 13)
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


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """After they are made."""
    with django_db_blocker.unblock():
        hurry()
        for connection in connections.all():
            # On MariaDB this asks the server. A check would, in a test that may not use it.
            assert connection.data_types


@pytest.fixture(autouse=True)
def _server_s_clock(_python_s_clock: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's own, as in production, except where the test kit itself is tested."""
    monkeypatch.setattr(DatabaseClock, "is_python_s", False)


@pytest.fixture(autouse=True)
def _handlers_of_signals() -> Iterator[None]:
    """
    What one test handles, another would have for good, and so would the children that it forks.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _dead_rows_are_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tests delete stays in the tables where the server's autovacuum is off."""
    monkeypatch.setattr(of_databases, "MANY_DEAD", math.inf)


def _delete_all_rows(test: Any) -> None:
    """
    Instead of TRUNCATE, which takes the servers a tenth of a second and more for each test. Most
    tests fill few of the tables, or none.
    """
    for alias in test._databases_names(include_mirrors=False):
        connection = connections[alias]
        deletes = [f"DELETE FROM {table}" for table in _tables_with_rows(connection)]
        if deletes:
            with (
                connection.constraint_checks_disabled(),
                transaction.atomic(using=alias),
                connection.cursor() as cursor,
            ):
                _execute_all(connection.vendor, cursor, deletes)


def _tables_with_rows(connection: Any) -> list[str]:
    """One statement finds them."""
    names = {*connection.introspection.django_table_names(include_views=False)} - KEPT
    tables = [
        *map(connection.ops.quote_name, sorted(names)),
        "django_content_type WHERE app_label = 'tests'",
    ]
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"EXISTS (SELECT 1 FROM {table})" for table in tables))
        return [table for table, rows in zip(tables, cursor.fetchone(), strict=True) if rows]


def _execute_all(vendor: str, cursor: Any, statements: list[str]) -> None:
    """In one go where a server is far away."""
    if vendor == "sqlite":
        for statement in statements:
            cursor.execute(statement)
    else:
        cursor.execute("; ".join(statements))
        while cursor.nextset():
            pass


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what is left out."""
    if collection_path.is_dir():
        return True if _is_path_left_out(config, collection_path) else None
    is_test = collection_path.name.startswith("test_")
    return True if is_test and _is_file_left_out(config, collection_path) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = {item for item in items if _is_left_out(config, item)}
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """What is here now stays to the end: the collector need not look at it again and again."""
    gc.freeze()


def _is_left_out(config: pytest.Config, item: pytest.Item) -> bool:
    return _is_file_left_out(config, item.path) or _is_marked_left_out(config, item)


@cache
def _is_file_left_out(config: pytest.Config, file: Path) -> bool:
    part = part_of(_relative(file), _dealt_out(config), PARTS)
    return part != PART or _is_path_left_out(config, file)


@cache
def _dealt_out(config: pytest.Config) -> dict[str, int]:
    """The parts of the long files that this run has."""
    seconds = {
        file: taken
        for file, taken in seconds_on(settings.DATABASE).items()
        if _is_asked_for(config, ROOT.parent / file)
        and not _is_path_left_out(config, ROOT.parent / file)
    }
    return dealt_out(seconds, PARTS)


def _is_path_left_out(config: pytest.Config, path: Path) -> bool:
    if (IN_THE_MATRIX and _is_in(ONCE, path)) or (_on_server() and _is_in(ANY_DATABASE, path)):
        return True
    if is_named(config, path):
        return False
    if THOROUGH:
        return not EVERY_CASE and _is_shown_elsewhere(path)
    if _is_in(SLOW, path) or (not IN_THE_MATRIX and _is_in(NOT_EVERY_DAY, path)):
        return True
    if _is_between_pairs() and path.is_file() and not _is_in(BETWEEN, path):
        return True
    return _on_server() and path.is_file() and not _is_in(_on_this_server(), path)


def _is_shown_elsewhere(path: Path) -> bool:
    if not _on_server():
        return _is_in(ON_POSTGRESQL, path)
    return _is_in(ON_NO_SERVER, path) or (_on_second_server() and _is_in(ON_ONE_SERVER, path))


def _on_this_server() -> list[Path]:
    if IN_THE_MATRIX and _on_second_server():
        return ON_SECOND_SERVER_IN_THE_MATRIX
    return ON_SERVERS


def _is_marked_left_out(config: pytest.Config, item: pytest.Item) -> bool:
    if _on_server() and item.get_closest_marker("any_database"):
        return True
    if THOROUGH or is_named(config, item.path):
        return False
    if not IN_THE_MATRIX and item.get_closest_marker("not_every_day"):
        return True
    return _on_server() and item.get_closest_marker("thorough_on_servers") is not None


def _is_between_pairs() -> bool:
    return IN_THE_MATRIX and FIRST_PYTHON < sys.version_info[:2] < LAST_PYTHON


def _on_server() -> bool:
    return settings.DATABASE != "sqlite"


def _on_second_server() -> bool:
    return settings.DATABASE in ("mariadb", "mysql")


def _is_in(paths: list[Path], path: Path) -> bool:
    return not {*paths}.isdisjoint(_with_parents(path))


@cache
def _with_parents(path: Path) -> frozenset[Path]:
    """Asked of each test, of which a file has many."""
    return frozenset([path, *path.parents])


def is_named(config: pytest.Config, path: Path) -> bool:
    """Whether a person names it on the command line, or a folder that it is in."""
    if IN_THE_MATRIX:
        return False
    return any(one != ROOT and one in _with_parents(path) for one in _arguments(config))


def _is_asked_for(config: pytest.Config, path: Path) -> bool:
    return any(one in _with_parents(path) for one in _arguments(config))


def _arguments(config: pytest.Config) -> list[Path]:
    return [Path(argument.partition("::")[0]).resolve() for argument in config.args]


def _relative(path: Path) -> str:
    return path.relative_to(ROOT.parent).as_posix()
