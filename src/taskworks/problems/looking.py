"""Asks all rules, each for a short time."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

from django.db import Error as DatabaseError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.database.foreign_errors import foreign_errors_as_database_errors
from taskworks.database.time_limit import TookTooLong, reading_at_most
from taskworks.logs import steady_logger
from taskworks.problems import (
    of_databases,
    of_queues,
    of_runs,
    of_schedules,
    of_wakeups,
    of_workers,
)
from taskworks.problems.problem import Problem, Severity, Unknown
from taskworks.problems.situation import Situation
from taskworks.store import Store

READ_FOR = 0.5  # seconds, of each statement
SEVERITIES = [*Severity]

logger = steady_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that may be wrong. ``id`` is that of the problems that it finds."""

    id: str
    look: Callable[[Situation], Iterable[Problem]]
    title: str  # what is wrong if it finds something
    is_thorough: bool = False  # it takes longer, or more than reads: not for a page
    at_deploy: bool = False  # ``manage.py check --deploy`` asks it


RULES = (
    Rule("unmigrated", of_databases.unmigrated, "tables are missing", at_deploy=True),
    Rule("queue_without_worker", of_queues.queue_without_worker, "no living worker takes a queue"),
    Rule("silent_worker", of_workers.silent_worker, "a worker seems to be dead"),
    Rule(
        "oldest_beyond_objective",
        of_queues.oldest_beyond_objective,
        "a queue's oldest run has waited for too long",
    ),
    Rule("objective_missed", of_queues.objective_missed, "too few attempts begin in time"),
    Rule("schedule_late", of_schedules.schedule_late, "a schedule is late"),
    Rule("schedule_unable", of_schedules.schedule_unable, "a schedule cannot fire"),
    Rule(
        "stuck_transaction",
        of_databases.stuck_transaction,
        "a transaction holds others back",
        at_deploy=True,
    ),
    Rule(
        "stuck_transaction",
        of_databases.write_locked,
        "a transaction holds others back",
        is_thorough=True,
    ),
    Rule("failing_task", of_runs.failing_task, "many runs of a task fail"),
    Rule("poison", of_runs.poison, "runs kill the processes that execute them"),
    Rule(
        "worker_of_another_release",
        of_workers.worker_of_another_release,
        "a worker runs old code",
    ),
    Rule(
        "pool_too_small",
        of_workers.pool_too_small,
        "threads share too few connections",
        at_deploy=True,
    ),
    Rule("clock_skew", of_databases.clock_skew, "clocks differ", at_deploy=True),
    Rule("not_vacuumed", of_databases.not_vacuumed, "dead rows pile up", at_deploy=True),
    Rule(
        "notifications_do_not_arrive",
        of_databases.notifications_do_not_arrive,
        "notifications do not arrive",
        is_thorough=True,
        at_deploy=True,
    ),
    Rule(
        "wake_ups_do_not_arrive",
        of_wakeups.wake_ups_do_not_arrive,
        "Redis does not wake workers",
        is_thorough=True,
        at_deploy=True,
    ),
    Rule("paused", of_queues.paused, "something is paused"),
)


class Findings(NamedTuple):
    """What is wrong, the worst first, and what could not be found out."""

    problems: list[Problem]
    unknown: list[Unknown]

    @property
    def alarming(self) -> list[Problem]:
        """The problems that are more than notices."""
        return [one for one in self.problems if one.severity is not Severity.NOTICE]


def look(
    store: Store,
    *,
    thoroughly: bool = False,
    rules: Iterable[Rule] | None = None,
    situation: Situation | None = None,
) -> Findings:
    """
    Ask the rules; with ``thoroughly`` also those that take longer. A statement that takes longer
    than ``READ_FOR`` is given up, and its rule is unknown. ``situation`` is what the caller has
    read of this moment, or is about to.

    Raise a database error if the database does not answer at all.
    """
    situation = situation or Situation(store)
    asked = [
        rule for rule in (RULES if rules is None else rules) if thoroughly or not rule.is_thorough
    ]
    with foreign_errors_as_database_errors(connections[store.alias]):
        _demand_an_answer(store)  # or each rule would wait for a database that is down
        answers = _Answers(situation)
        if not answers.ask_together([rule for rule in asked if not rule.is_thorough]):
            answers.ask_each(rule for rule in asked if not rule.is_thorough)
        answers.ask_each(rule for rule in asked if rule.is_thorough)
    return Findings(sorted(answers.problems, key=_by_severity), answers.unknown)


class _Answers:
    """What the rules have answered so far."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self.problems: list[Problem] = []
        self.unknown: list[Unknown] = []

    def ask_together(self, rules: Iterable[Rule]) -> bool:
        """
        Ask them in one transaction, where the time limit needs one. Return False if a statement has
        failed, or has taken too long: then they are to be asked one by one.
        """
        problems, unknown = [*self.problems], [*self.unknown]
        try:
            with reading_at_most(self._situation.store.alias, READ_FOR):
                for rule in rules:
                    self._ask(rule)
        except (DatabaseError, TookTooLong):
            self.problems, self.unknown = problems, unknown
            return False
        return True

    def ask_each(self, rules: Iterable[Rule]) -> None:
        """Ask one after the other; one that fails is unknown."""
        alias = self._situation.store.alias
        for rule in rules:
            try:
                # What is thorough has limits of its own.
                with nullcontext() if rule.is_thorough else reading_at_most(alias, READ_FOR):
                    self._ask(rule)
            except (DatabaseError, TookTooLong) as error:
                self.unknown.append(Unknown(rule.id, f"{rule.id} could not be asked: {error}"))
                _close_if_unusable(connections[alias])

    def _ask(self, rule: Rule) -> None:
        if any(problem.id == "unmigrated" for problem in self.problems):
            return  # it reads tables and columns that may not be there
        try:
            self.problems += rule.look(self._situation)
        except (DatabaseError, TookTooLong):
            raise
        except Exception as error:
            logger.exception("The rule %s of problems has failed.", rule.id)
            self.unknown.append(Unknown(rule.id, f"{rule.id} has failed: {error!r}"))


def _close_if_unusable(connection: BaseDatabaseWrapper) -> None:
    # Not for its age, as Django does between requests: whoever asks us may be using it.
    if connection.connection is None or connection.in_atomic_block or connection.is_usable():
        return
    connection.close()


def _demand_an_answer(store: Store) -> None:
    with store.connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _by_severity(problem: Problem) -> int:
    return SEVERITIES.index(problem.severity)
