"""``manage.py check --deploy --database default``: those problems that matter before a deploy."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.core import checks
from django.db import Error as DatabaseError

from taskworks.database.shards import using


@checks.register(checks.Tags.database, deploy=True)
def check_problems(
    databases: Sequence[str] | None = None, **kwargs: Any
) -> Iterator[checks.CheckMessage]:
    """Report what the rules find that has to do with the database and the way to it."""
    from taskworks.backends import shards

    for alias in shards.databases():
        if alias in (databases or ()):
            yield from _check(alias)


def _check(alias: str) -> Iterator[checks.CheckMessage]:
    from taskworks.problems import RULES, look
    from taskworks.store import store

    rules = [rule for rule in RULES if rule.at_deploy]
    try:
        with using(alias):
            findings = look(store(), thoroughly=True, rules=rules)
    except DatabaseError as error:
        yield checks.Warning(
            f"The database {alias!r} could not be checked: {str(error).strip()}",
            id="taskworks.W080",
        )
        return
    for problem in findings.problems:
        yield checks.Warning(
            problem.sentence, hint=f"{problem.remedy} {problem.page}", id=f"taskworks.{problem.id}"
        )
    for unknown in findings.unknown:
        yield checks.Warning(unknown.sentence, id="taskworks.W080")
