"""
A process that enqueues as long as it lives: `python -m tests.faults.caller JOURNAL`.

It writes into its journal what has been committed. If it is killed in between, the last commit is
missing there.
"""

import json
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import django

TENANTS = 40
CALLED = 3  # tenants of the limit with a rate
DOCUMENTS = 12
BACKLOG = 150  # ready runs, with which all workers are busy
AT_A_TIME = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A run that an enqueue has returned, and what was committed with it."""

    run: str
    is_new: bool
    task: str
    number: int = 0  # of the document, which the run must see

    @staticmethod
    def read(journal: Path) -> "Iterator[Accepted]":
        for line in journal.read_text().splitlines() if journal.exists() else []:
            yield Accepted(**json.loads(line))


class Journal:
    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, results: Any, number: int = 0) -> None:
        lines = [
            Accepted(run=one.id, is_new=one.is_new, task=one.task.name, number=number)
            for one in results
        ]
        text = "".join(json.dumps(asdict(line)) + "\n" for line in lines)
        os.write(self._file, text.encode())


def main(journal: Path) -> None:
    django.setup()
    from django.db import InterfaceError, OperationalError, connection

    caller = Caller(Journal(journal))
    while True:
        try:
            caller.go_on()
        except (OperationalError, InterfaceError):  # a deadlock, or a lock that another kept
            connection.close()


class Caller:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def go_on(self) -> None:
        """Enqueue a little of everything that workers do not have enough of."""
        from taskworks.models import TaskRun

        ready = TaskRun.objects.ready()
        if ready.unlimited().count() < BACKLOG:
            self._enqueue_plain()
        if ready.limited().count() < BACKLOG:
            self._enqueue_limited()
        for _ in range(5):
            self._enqueue_unique()
            self._count_up_and_enqueue()

    def _enqueue_plain(self) -> None:
        from tests.faults import flow_shelf as shelf

        self._journal.note(shelf.plain.enqueue_many([()] * AT_A_TIME))
        self._journal.note(shelf.pausable.enqueue_many([()] * 3))

    def _enqueue_limited(self) -> None:
        from tests.faults import flow_shelf as shelf

        tenants = [(random.randrange(TENANTS),) for _ in range(AT_A_TIME)]
        self._journal.note(shelf.import_file.enqueue_many([*tenants, (0,), (0,), (0,)]))
        self._journal.note(shelf.import_at_second_try.enqueue_many(tenants[:3]))
        calls = [(random.randrange(CALLED), random.choice([0] * 30 + [0.2])) for _ in range(5)]
        self._journal.note(shelf.call.enqueue_many(calls))

    def _enqueue_unique(self) -> None:
        from tests.faults import flow_shelf as shelf

        documents = [(random.randrange(DOCUMENTS),) for _ in range(3)]
        self._journal.note(shelf.sync.enqueue_many(documents))
        self._journal.note([shelf.sync.enqueue(*documents[0])])

    def _count_up_and_enqueue(self) -> None:
        """What a caller has changed before it enqueues, the run sees."""
        from django.db import transaction

        from tests.faults import flow_shelf as shelf
        from tests.faults import points

        document = random.randrange(DOCUMENTS)
        with points.within("transaction"), transaction.atomic():
            number = _count_up(document)
            task = random.choice([shelf.index, shelf.latest, shelf.settled])
            version = () if task is shelf.index else (number,)
            result = task.enqueue(document, *version)
        self._journal.note([result], number)


def _count_up(document: int) -> int:
    from django.db import connection

    from tests.faults import flow_shelf as shelf

    with connection.cursor() as cursor:
        change = f"UPDATE {shelf.DOCUMENTS} SET number = number + 1 WHERE id = %s"
        cursor.execute(change, [document])
    return shelf.read(document)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
