"""``manage.py taskworks health``: say what is wrong, and what to do about it."""

import argparse
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from taskworks.database.answers import said_of
from taskworks.management.output import add_json, print_json, print_line
from taskworks.problems import Findings, Problem, Severity, look
from taskworks.store import store, store_alias

NOT_HEALTHY, CANNOT_TELL = 1, 2  # exit codes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quick",
        action="store_true",
        help="Leave out what takes longer, or more than reads: whether notifications and "
        "wake-ups arrive, and whether SQLite can be written.",
    )
    parser.add_argument(
        "--critical",
        action="store_true",
        help="Exit with 1 only if a problem is critical (default: also for warnings).",
    )
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """Print what is wrong; raise CommandError with the exit code that says how it is."""
    try:
        findings = look(store(), thoroughly=not options["quick"])
    except DatabaseError as error:
        said = f"Nobody can tell. {said_of(store_alias(), error)}"
        raise CommandError(said, returncode=CANNOT_TELL) from error
    if options["json"]:
        print_json(command, keyed(findings))
    else:
        print_findings(command, findings)
    _end(findings, critical_only=options["critical"])


def print_findings(command: BaseCommand, findings: Findings) -> None:
    """Print each problem in a few lines."""
    for problem in findings.problems:
        print_line(command, f"{problem.severity.upper()} {problem.id}: {problem.sentence}")
        print_line(command, f"    {problem.remedy}")
        print_line(command, f"    {problem.page}")
    for unknown in findings.unknown:
        print_line(command, f"UNKNOWN {unknown.sentence}")
    if not findings.problems and not findings.unknown:
        print_line(command, "Nothing is wrong.")


def keyed(findings: Findings) -> dict[str, Any]:
    """Return the findings for JSON."""
    return {
        "healthy": not findings.alarming and not findings.unknown,
        "problems": [*map(problem_keyed, findings.problems)],
        "unknown": [asdict(one) for one in findings.unknown],
    }


def problem_keyed(problem: Problem) -> dict[str, Any]:
    """Return a problem for JSON."""
    return {**asdict(problem), "page": problem.page}


def _end(findings: Findings, *, critical_only: bool) -> None:
    least = (Severity.CRITICAL,) if critical_only else (Severity.CRITICAL, Severity.WARNING)
    wrong = [problem for problem in findings.problems if problem.severity in least]
    if wrong:
        number = f"{len(wrong)} problem{'' if len(wrong) == 1 else 's'}"
        raise CommandError(f"Not healthy: {number}.", returncode=NOT_HEALTHY)
    if findings.unknown:
        raise CommandError("Some of it could not be found out.", returncode=CANNOT_TELL)
