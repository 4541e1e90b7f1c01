"""System checks of the settings and the database."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core import checks
from django.core.checks.registry import registry
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router

from taskworks.conf import conf
from taskworks.database.shards import database_of, valid_database
from taskworks.documentation import page
from taskworks.framework import InvalidTaskBackend, check_tasks, task_backends
from taskworks.options.defaults import defaults_of
from taskworks.options.objectives import objectives_of
from taskworks.options.policy import Policy
from taskworks.options.retention import retention_of
from taskworks.options.tasks_setting import aliases, backend_of, unknown_keys
from taskworks.wakeup.address import client_of

READ_COMMITTED = "read committed"


def register() -> None:
    """Register check_backends in place of the standard's check, which raises what it meets."""
    registry.registered_checks.discard(check_tasks)
    checks.register(check_backends)


def check_backends(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Check TASKWORKS, and every backend in TASKS that can be used; say why others cannot."""
    yield from _check_settings()
    yield from _check_wakeup()
    try:
        configured = aliases()
    except InvalidTaskBackend as error:
        yield _unusable(error)
        return
    for alias in configured:
        try:
            backend = backend_of(alias)
        except InvalidTaskBackend as error:
            yield _unusable(error)
        else:
            yield from backend.check()


def _check_settings() -> Iterator[checks.CheckMessage]:
    try:
        conf()
    except ImproperlyConfigured as error:
        yield checks.Error(
            str(error),
            hint=f"The keys and their units: {page('reference/settings', 'taskworks')}",
            id="taskworks.E004",
        )


def _check_wakeup() -> Iterator[checks.CheckMessage]:
    """Check the address, and that redis-py is there; not that Redis answers, which may change."""
    try:
        address = conf().wakeup
    except ImproperlyConfigured:  # reported as taskworks.E004
        return
    try:
        if address:
            client_of(address).close()
    except ImproperlyConfigured as error:
        yield checks.Error(
            str(error),
            hint=f"How workers are woken through Redis: {page('howto/wake-workers-by-redis')}",
            id="taskworks.E010",
        )


def _unusable(error: InvalidTaskBackend) -> checks.CheckMessage:
    return checks.Error(
        str(error),
        hint=f"What the setting has: {page('reference/settings', 'tasks')}",
        id="taskworks.E008",
    )


def check_backend(alias: str) -> Iterator[checks.CheckMessage]:
    """Check the settings and the database of a DatabaseBackend."""
    if not apps.is_installed("taskworks"):
        yield checks.Error(
            f"The backend {alias!r} stores runs in tables of the app 'taskworks', which is not "
            "installed.",
            hint="Add 'taskworks' to INSTALLED_APPS, and run 'manage.py migrate'.",
            id="taskworks.E001",
        )
        return
    yield from check_entry(alias)
    yield from _check_retention(alias)
    yield from _check_objectives(alias)
    if wrong := [*_check_shard(alias)]:
        yield from wrong
    else:
        yield from _check_database(alias)
        yield from _check_transactions(alias)


def check_entry(alias: str) -> Iterator[checks.CheckMessage]:
    """Check what TASKS says of a backend of Taskworks, whether it stores runs or not."""
    try:
        defaults_of(task_backends[alias])
    except ImproperlyConfigured as error:
        yield checks.Error(
            str(error),
            hint=f"The options of a task: {page('reference/tasks', 'task')}",
            id="taskworks.E005",
        )
    for sentence in unknown_keys(alias):
        yield checks.Warning(sentence, id="taskworks.W002")


def _check_retention(alias: str) -> Iterator[checks.CheckMessage]:
    try:
        retention_of(task_backends[alias])
    except ImproperlyConfigured as error:
        yield checks.Error(
            str(error),
            hint=f"How long finished runs are kept: {page('reference/settings', 'options')}",
            id="taskworks.E007",
        )


def _check_objectives(alias: str) -> Iterator[checks.CheckMessage]:
    try:
        objectives_of(task_backends[alias])
    except ImproperlyConfigured as error:
        yield checks.Error(
            str(error),
            hint=f"What is promised of queues: {page('reference/settings', 'options')}",
            id="taskworks.E009",
        )


def _check_shard(alias: str) -> Iterator[checks.CheckMessage]:
    """Check that the database that OPTIONS name is there, and may have the tables."""
    from taskworks.models import TaskRun

    try:
        database = valid_database(alias, database_of(alias))
    except ImproperlyConfigured as error:
        yield checks.Error(
            str(error), hint=f"What a shard is: {page('howto/shards')}", id="taskworks.E011"
        )
        return
    if database and not router.allow_migrate_model(database, TaskRun):
        yield checks.Error(
            f"TASKS[{alias!r}]['OPTIONS']['DATABASE'] is {database!r}, but the project's routers "
            "keep the tables of Taskworks out of that database.",
            hint="Have allow_migrate() of DATABASE_ROUTERS return True for the app 'taskworks' "
            f"there, and run 'manage.py migrate --database {database}'.",
            id="taskworks.E012",
        )


def _check_database(alias: str) -> Iterator[checks.CheckMessage]:
    from taskworks.store import alias_for

    connection = connections[alias_for(alias)]
    if connection.vendor not in {"postgresql", "mysql", "sqlite"}:
        yield checks.Error(
            f"Runs cannot be stored in the database {connection.alias!r}: its vendor is "
            f"{connection.vendor!r}.",
            hint="Route the app 'taskworks' to PostgreSQL, MySQL, MariaDB or SQLite.",
            id="taskworks.E002",
        )
    elif connection.vendor == "sqlite":
        yield from _check_sqlite(connection.alias)
    elif connection.vendor == "postgresql":
        yield from _check_postgresql(connection.alias)
    else:
        yield from _check_mysql(connection.alias)


def _check_transactions(alias: str) -> Iterator[checks.CheckMessage]:
    """Check the defaults only: options of a task are checked when it is enqueued."""
    from taskworks.execution.transaction import obstacle
    from taskworks.store import alias_for

    try:
        defaults = defaults_of(task_backends[alias])
    except ImproperlyConfigured:  # reported as taskworks.E005
        return
    database = alias_for(alias)
    policies = [Policy(**given) for given in [defaults.tasks, *defaults.queues.values()]]
    for reason in dict.fromkeys(obstacle(p, database) for p in policies if p.transactional):
        if reason:
            yield checks.Error(
                f"The defaults in TASKS[{alias!r}]['OPTIONS'] do not work here. {reason}",
                hint="Give the option only to the tasks that need it: "
                f"{page('howto/choose-a-delivery')}",
                id="taskworks.E006",
            )


def _check_sqlite(alias: str) -> Iterator[checks.CheckMessage]:
    import sqlite3

    if sqlite3.sqlite_version_info < (3, 35):
        yield checks.Error(
            f"SQLite {sqlite3.sqlite_version} is too old to claim runs.",
            hint="Use SQLite 3.35 or later, which has UPDATE ... RETURNING.",
            id="taskworks.E003",
        )
    options = connections[alias].settings_dict["OPTIONS"]
    if str(options.get("transaction_mode", "")).upper() != "IMMEDIATE":
        yield checks.Warning(
            f"Transactions on the database {alias!r} begin without the write lock, so a "
            "transaction that reads and then enqueues may fail with 'database is locked'.",
            hint="Set OPTIONS['transaction_mode'] to 'IMMEDIATE', and OPTIONS['init_command'] to "
            "'PRAGMA journal_mode=WAL;'.",
            id="taskworks.W001",
        )


def _check_postgresql(alias: str) -> Iterator[checks.CheckMessage]:
    from django.db.backends.postgresql.psycopg_any import IsolationLevel

    # Django refuses an invalid level when it connects.
    level = connections[alias].settings_dict["OPTIONS"].get("isolation_level")
    if level in [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]:
        name = IsolationLevel(level).name.replace("_", " ")
        yield checks.Warning(
            f"Transactions on the database {alias!r} have the isolation level {name}, in which "
            "enqueues under a unique key and requests to cancel may fail ('could not serialize "
            "access ...').",
            hint="Remove OPTIONS['isolation_level'], or have your transactions repeated. Workers "
            "use READ COMMITTED in any case.",
            id="taskworks.W004",
        )


def _check_mysql(alias: str) -> Iterator[checks.CheckMessage]:
    options = connections[alias].settings_dict["OPTIONS"]
    level = options.get("isolation_level", READ_COMMITTED)  # Django's default
    if str(level).lower() != READ_COMMITTED:
        yield checks.Warning(
            f"Transactions on the database {alias!r} have the isolation level {level!r}, in "
            "which enqueues and claims may deadlock ('Deadlock found ...').",
            hint=f"Set OPTIONS['isolation_level'] to {READ_COMMITTED!r}, Django's default. None is "
            "the server's default, usually REPEATABLE READ.",
            id="taskworks.W003",
        )
