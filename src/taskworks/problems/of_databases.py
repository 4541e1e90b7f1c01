"""What is wrong with the database, and with the way to it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pkgutil import iter_modules
from uuid import uuid4

from django.db import connections

from taskworks import real_time as time
from taskworks.conf import conf
from taskworks.database.clock import DatabaseClock, as_aware
from taskworks.database.notifications import Listener, PipeEvent, own_payload
from taskworks.durations import in_words
from taskworks.logs import visible
from taskworks.problems.problem import Problem, Severity
from taskworks.problems.situation import Situation
from taskworks.store import Store, server_state
from taskworks.store.server_state import DeadRows, OpenTransaction

SKEW = timedelta(seconds=2)
STUCK = timedelta(minutes=5)
STUCK_ON_SQLITE = 5.0  # seconds for which the write lock cannot be had
ARRIVES_WITHIN = 3.0  # seconds
MANY_DEAD = 20_000  # rows
DEAD_SHARE = 0.5  # of the rows that live; the server vacuums at 0.2
VACUUMED_WITHIN = timedelta(minutes=10)  # a busy table has many dead rows a minute after a vacuum


def unmigrated(situation: Situation) -> Iterator[Problem]:
    """Find migrations of this release that the database does not have."""
    # A worker imports the commands, and needs nothing of migrations.
    from django.db.migrations.loader import MigrationLoader
    from django.db.migrations.recorder import MigrationRecorder

    connection = connections[situation.store.alias]
    module, _ = MigrationLoader.migrations_module("taskworks")
    if module is None:  # the project has switched its migrations off
        return
    applied = MigrationRecorder(connection).applied_migrations()
    if missing := [name for name in _migrations(module) if ("taskworks", name) not in applied]:
        number = f"{len(missing)} migration{'' if len(missing) == 1 else 's'}"
        yield Problem(
            "unmigrated",
            Severity.CRITICAL,
            f"the database {connection.alias!r}",
            f"The database {connection.alias!r} lacks {number} of Taskworks: {', '.join(missing)}.",
            "Apply them: manage.py migrate taskworks",
        )


def _migrations(module: str) -> list[str]:
    """Return the names of the migrations in a package, as Django finds them, in order."""
    found = iter_modules(import_module(module).__path__)
    return sorted(name for _, name, is_package in found if not is_package and name[0] not in "_~")


def clock_skew(situation: Situation) -> Iterator[Problem]:
    """Compare this process's clock with the database's, and with the heartbeats of workers."""
    if DatabaseClock.is_python_s:
        return
    before = time.monotonic()
    here, there = datetime.now(UTC) + DatabaseClock.moved, as_aware(situation.store.read_clock())
    took = timedelta(seconds=time.monotonic() - before)
    if abs(there - here) > SKEW + took:
        skew = in_words(abs(there - here))
        direction = "ahead of" if there > here else "behind"
        yield Problem(
            "clock_skew",
            Severity.WARNING,
            f"the database {situation.store.alias!r}",
            f"The clock of the database is {skew} {direction} the one of this machine.",
            "Set the clocks of both machines by NTP. Taskworks uses the database's clock; times "
            "that your code makes are this machine's.",
        )
    yield from _heartbeats_ahead(situation)


def _heartbeats_ahead(situation: Situation) -> Iterator[Problem]:
    latest = max((one.worker.heartbeat_at for one in situation.workers), default=None)
    if latest is None or latest - situation.now <= timedelta(seconds=conf().worker_timeout):
        return
    yield Problem(
        "clock_skew",
        Severity.WARNING,
        "the heartbeats of workers",
        f"A worker has sent a heartbeat that lies {in_words(latest - situation.now)} ahead of the "
        "database's clock, which somebody has set back.",
        "Set the clock by NTP. Workers notice that it was set back, and give up that worker if it "
        "is dead.",
    )


def notifications_do_not_arrive(situation: Situation) -> Iterator[Problem]:
    """Send a notification to oneself, through another connection."""
    listener = situation.store.listener()
    if listener is None:
        return
    with listener:
        if _arrives(situation.store, listener):
            return
    yield Problem(
        "notifications_do_not_arrive",
        Severity.WARNING,
        f"the database {situation.store.alias!r}",
        f"A notification of the database did not arrive within {ARRIVES_WITHIN:g} s, so workers "
        "poll, and begin runs later.",
        "Connect the workers to the server itself, or through a pooler in session mode; or set "
        "TASKWORKS['NOTIFY'] to False.",
    )


def _arrives(store: Store, listener: Listener) -> bool:
    # On a channel of its own: behind a pooler, others may get the session, and what it listens to.
    token = uuid4().hex
    channel, payload = f"taskworks_{token}", own_payload(token)
    listener.listen(channel)
    store.notify(payload, channel)
    interrupt, until = PipeEvent(), time.monotonic() + ARRIVES_WITHIN
    while (left := until - time.monotonic()) > 0:
        if payload in listener.wait(left, interrupt):
            return True
    return False


def not_vacuumed(situation: Situation) -> Iterator[Problem]:
    """Find out whether dead rows pile up in the table of runs."""
    rows = server_state.dead_rows(situation.store)
    if rows is None or rows.dead < max(MANY_DEAD, DEAD_SHARE * rows.living):
        return
    if rows.vacuumed is not None and rows.vacuumed < VACUUMED_WITHIN:
        return
    ago = "never" if rows.vacuumed is None else f"{in_words(rows.vacuumed)} ago"
    yield Problem(
        "not_vacuumed",
        Severity.WARNING,
        "the table of runs",
        f"The table of runs has {rows.dead:,} dead rows beside {rows.living:,} living ones. Its "
        f"last vacuum: {ago}.",
        _how_to_vacuum(rows),
    )


def _how_to_vacuum(rows: DeadRows) -> str:
    if not rows.table_allows:
        return (
            "Switch autovacuum on for the table: ALTER TABLE taskworks_taskrun SET "
            "(autovacuum_enabled = true)"
        )
    if not rows.server_does:
        return (
            "Switch autovacuum on for the server: ALTER SYSTEM SET autovacuum = on; "
            "SELECT pg_reload_conf()"
        )
    return (
        "See which transaction holds the vacuum back, and whether the server has too few vacuum "
        "workers."
    )


def stuck_transaction(situation: Situation) -> Iterator[Problem]:
    """Find transactions that have been open for long: what they have locked, nobody can write."""
    for one in server_state.open_transactions(situation.store, STUCK):
        yield Problem(
            "stuck_transaction",
            Severity.CRITICAL,
            f"the session {visible(one.session)}",
            f"A transaction of {visible(one.session)} ({visible(one.whose)}) has been open for "
            f"{in_words(one.open_for)} and is {one.does}. {_why_that_matters(situation)}",
            _how_to_end(situation, one),
        )


def _why_that_matters(situation: Situation) -> str:
    if situation.store.connection.vendor == "postgresql":
        return "Until it ends, no vacuum removes rows that died since, and claims slow down."
    return "Until it ends, others wait for what it has locked, and old row versions pile up."


def _how_to_end(situation: Situation, one: OpenTransaction) -> str:
    kind, _, number = one.session.partition(" ")
    if situation.store.connection.vendor == "mysql":
        return f"End it if nobody needs it: KILL {number}"
    if kind == "prepared":
        return f"End it if nobody needs it: ROLLBACK PREPARED '{number}'"
    return f"End it if nobody needs it: SELECT pg_terminate_backend({number})"


def write_locked(situation: Situation) -> Iterator[Problem]:
    """Find out whether somebody keeps SQLite's write lock."""
    if situation.store.connection.vendor != "sqlite":
        return
    if server_state.is_write_locked(situation.store, STUCK_ON_SQLITE):
        yield Problem(
            "stuck_transaction",
            Severity.CRITICAL,
            f"the database {situation.store.alias!r}",
            f"The write lock of the database could not be had for {STUCK_ON_SQLITE:g} s: another "
            "process has a transaction open, and until it ends nobody can write.",
            "Find the process that has the file open, with fuser or lsof, and end it.",
        )
