"""
Find out which limits have ready runs, and of which backends, queues and executors.

The answer is read from the index of limited runs by probes, one for each name and not for each run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple

from taskworks.models import TaskRun
from taskworks.models.run import LIMITED_ORDER
from taskworks.store.base import Base

COLUMNS = LIMITED_ORDER[:4]
MAX_NAMES = 50  # that a look finds at once

Values = tuple[str, ...]


class LimitedName(NamedTuple):
    """What the ready runs of one stretch of their index have in common, in its order."""

    limit: str
    backend: str
    queue: str
    executor: str


FIRST_NAME = LimitedName("", "", "", "")  # before every other


class LimitedNames(Base):
    """Find the names that ready runs with a limit have."""

    def limited_names(
        self,
        after: LimitedName = FIRST_NAME,
        most: int = MAX_NAMES,
        known: Iterable[LimitedName] = (),
    ) -> list[LimitedName]:
        """
        Return the names that ready runs with a limit have, in the order of their index: up to
        ``most`` of them, those ``after`` this one. One statement finds them, with a probe of the
        index for each; on MySQL and MariaDB, if all of them are ``known``, and else some more.
        """
        table = self._quoted(TaskRun)
        first = self._next_name([f"%({column})s" for column in COLUMNS])
        of_last = [f"last.{column}" for column in COLUMNS]
        statement = f"""
            WITH RECURSIVE found (id, place) AS (
                SELECT {first}, 1
                UNION ALL
                SELECT {self._next_name(of_last)}, place + 1
                FROM found JOIN {table} AS last ON last.id = found.id WHERE place < %(most)s
            )
            SELECT {", ".join(of_last)} FROM found JOIN {table} AS last ON last.id = found.id
            ORDER BY place"""  # noqa: S608 - names of tables and columns
        parameters = {**dict(zip(COLUMNS, after, strict=True)), "most": most}
        return [*map(LimitedName._make, self._fetch(statement, parameters))]

    def _next_name(self, after: Sequence[str]) -> str:
        """Return SQL for the id of the first run with the name after one, whose values are SQL."""
        columns = ", ".join(COLUMNS)
        return f"""(
            SELECT id FROM {self._quoted(TaskRun)} WHERE state = 'ready' AND lane IS NOT NULL
                AND ({columns}) > ({", ".join(after)})
            ORDER BY {columns} LIMIT 1)"""  # noqa: S608 - names of tables and columns

    def every_limited_name(self) -> Iterator[LimitedName]:
        """Yield all of them, some at a time."""
        names = self.limited_names()
        yield from names
        while len(names) == MAX_NAMES:
            names = self.limited_names(names[-1])
            yield from names


class Answers:
    """
    The names after one, up to ``most``, as far as answers to questions tell. A question is the
    beginning of a name, and asks which value follows its last one, after the same values before.
    """

    def __init__(self, after: LimitedName, most: int, known: Iterable[LimitedName]) -> None:
        """Begin with the questions that would confirm the ``known`` names."""
        self._after, self._most = after, most
        self._next: dict[Values, str | None] = {}
        confirming = (question for name in known for question in _confirming(name))
        self.open = [*dict.fromkeys([*self._first_questions, *confirming])]

    @property
    def _first_questions(self) -> list[Values]:
        lengths = range(len(self._after), 0, -1)
        return [self._after[:length] for length in lengths if all(self._after[: length - 1])]

    def take_in(self, answers: Mapping[Values, str | None]) -> list[LimitedName]:
        """Return the names that are found. If more come before them, some questions are open."""
        self._next.update(answers)
        self.open = []
        found = chain.from_iterable(map(self._following, self._first_questions))
        return [*islice(found, self._most)]

    def _following(self, question: Values) -> Iterator[LimitedName]:
        """Yield the names after a value, with the same values before it."""
        *before, value = question
        while (question := (*before, value)) in self._next:
            following = self._next[question]
            if following is None:
                return
            value = following
            if len(question) == len(COLUMNS):
                yield LimitedName._make((*before, value))
            else:
                yield from self._following((*before, value, ""))
        self.open.append(question)


def _confirming(name: LimitedName) -> Iterator[Values]:
    for length in range(1, len(name) + 1):
        yield (*name[: length - 1], "")
        yield name[:length]
