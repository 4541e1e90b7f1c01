"""What is wrong with the database, and with the way to it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pkgutil import iter_modules
from uuid import uuid4

from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.translation import gettext_noop as _

from taskworks import real_time as time
from taskworks.conf import conf
from taskworks.database.clock import DatabaseClock, as_aware
from taskworks.database.listener import Listener, PipeEvent
from taskworks.database.payloads import own_payload
from taskworks.logs import visible
from taskworks.problems.problem import Problem, Severity
from taskworks.problems.situation import Situation
from taskworks.sentences import Sentence, counted, joined, sentence
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
    module = MigrationLoader.migrations_module("taskworks")[0]
    if module is None:  # the project has switched its migrations off
        return
    applied = MigrationRecorder(connection).applied_migrations()
    if missing := [name for name in _migrations(module) if ("taskworks", name) not in applied]:
        yield Problem(
            "unmigrated",
            Severity.CRITICAL,
            _about(connection.alias),
            counted(
                len(missing),
                _("The database %(name)s lacks %(number)s migration of Taskworks: %(missing)s."),
                _("The database %(name)s lacks %(number)s migrations of Taskworks: %(missing)s."),
                name=repr(connection.alias),
                missing=", ".join(missing),
            ),
            sentence(_("Apply them: %(command)s"), command=_migrate(connection.alias)),
        )


def _migrate(alias: str) -> str:
    option = "" if alias == DEFAULT_DB_ALIAS else f" --database {alias}"
    return f"manage.py migrate taskworks{option}"


def _about(alias: str) -> Sentence:
    return sentence(_("the database %(name)s"), name=repr(alias))


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
        ahead = _("The clock of the database is %(skew)s ahead of the one of this machine.")
        behind = _("The clock of the database is %(skew)s behind the one of this machine.")
        yield Problem(
            "clock_skew",
            Severity.WARNING,
            _about(situation.store.alias),
            sentence(ahead if there > here else behind, skew=abs(there - here)),
            sentence(
                _(
                    "Set the clocks of both machines by NTP. Taskworks uses the database's clock; "
                    "times that your code makes are this machine's."
                )
            ),
        )
    yield from _heartbeats_ahead(situation)


def _heartbeats_ahead(situation: Situation) -> Iterator[Problem]:
    latest = max((one.worker.heartbeat_at for one in situation.workers), default=None)
    if latest is None or latest - situation.now <= timedelta(seconds=conf().worker_timeout):
        return
    yield Problem(
        "clock_skew",
        Severity.WARNING,
        sentence(_("the heartbeats of workers")),
        sentence(
            _(
                "A worker has sent a heartbeat that lies %(skew)s ahead of the database's clock, "
                "which somebody has set back."
            ),
            skew=latest - situation.now,
        ),
        sentence(
            _(
                "Set the clock by NTP. Workers notice that it was set back, and give up that "
                "worker if it is dead."
            )
        ),
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
        _about(situation.store.alias),
        sentence(
            _(
                "A notification of the database did not arrive within %(seconds)s s, so workers "
                "poll, and begin runs later."
            ),
            seconds=f"{ARRIVES_WITHIN:g}",
        ),
        sentence(
            _(
                "Connect the workers to the server itself, or through a pooler in session mode; "
                "or set %(setting)s to False."
            ),
            setting="TASKWORKS['NOTIFY']",
        ),
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
    never = sentence(_("never"))
    ago = never if rows.vacuumed is None else sentence(_("%(time)s ago"), time=rows.vacuumed)
    yield Problem(
        "not_vacuumed",
        Severity.WARNING,
        sentence(_("the table of runs")),
        sentence(
            _(
                "The table of runs has %(dead)s dead rows beside %(living)s living ones. Its last "
                "vacuum: %(ago)s."
            ),
            dead=rows.dead,
            living=rows.living,
            ago=ago,
        ),
        _how_to_vacuum(rows),
    )


def _how_to_vacuum(rows: DeadRows) -> Sentence:
    if not rows.table_allows:
        return sentence(
            _("Switch autovacuum on for the table: %(command)s"),
            command="ALTER TABLE taskworks_taskrun SET (autovacuum_enabled = true)",
        )
    if not rows.server_does:
        return sentence(
            _("Switch autovacuum on for the server: %(command)s"),
            command="ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()",
        )
    return sentence(
        _(
            "See which transaction holds the vacuum back, and whether the server has too few "
            "vacuum workers."
        )
    )


def stuck_transaction(situation: Situation) -> Iterator[Problem]:
    """Find transactions that have been open for long: what they have locked, nobody can write."""
    for one in server_state.open_transactions(situation.store, STUCK):
        yield Problem(
            "stuck_transaction",
            Severity.CRITICAL,
            sentence(_("the session %(name)s"), name=visible(one.session)),
            joined(
                sentence(
                    _(
                        "A transaction of %(session)s (%(whose)s) has been open for %(time)s and "
                        "is %(what)s."
                    ),
                    session=visible(one.session),
                    whose=visible(one.whose),
                    time=one.open_for,
                    what=one.does,
                ),
                _why_that_matters(situation),
            ),
            _how_to_end(situation, one),
        )


def _why_that_matters(situation: Situation) -> Sentence:
    if situation.store.connection.vendor == "postgresql":
        return sentence(
            _("Until it ends, no vacuum removes rows that died since, and claims slow down.")
        )
    return sentence(
        _("Until it ends, others wait for what it has locked, and old row versions pile up.")
    )


def _how_to_end(situation: Situation, one: OpenTransaction) -> Sentence:
    kind, *number = one.session.split(" ", 1)
    command = f"SELECT pg_terminate_backend({''.join(number)})"
    if situation.store.connection.vendor == "mysql":
        command = f"KILL {''.join(number)}"
    elif kind == "prepared":
        command = f"ROLLBACK PREPARED '{''.join(number)}'"
    return sentence(_("End it if nobody needs it: %(command)s"), command=command)


def write_locked(situation: Situation) -> Iterator[Problem]:
    """Find out whether somebody keeps SQLite's write lock."""
    if situation.store.connection.vendor != "sqlite":
        return
    if server_state.is_write_locked(situation.store, STUCK_ON_SQLITE):
        yield Problem(
            "stuck_transaction",
            Severity.CRITICAL,
            _about(situation.store.alias),
            sentence(
                _(
                    "The write lock of the database could not be had for %(seconds)s s: another "
                    "process has a transaction open, and until it ends nobody can write."
                ),
                seconds=f"{STUCK_ON_SQLITE:g}",
            ),
            sentence(_("Find the process that has the file open, with fuser or lsof, and end it.")),
        )
