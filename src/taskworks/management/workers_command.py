"""``manage.py taskworks workers`` and ``stop-worker``: list workers, and have some end."""

import argparse
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from taskworks.actions import worker_actions
from taskworks.management.argument_types import worker_id
from taskworks.management.output import add_json, print_json, print_line, print_table
from taskworks.management.reach import check_reachable
from taskworks.models import Worker
from taskworks.models.worker import Request
from taskworks.store import census, store
from taskworks.store.census import Working

TITLES = ("ID", "LABEL", "QUEUES", "BUSY", "MEMORY", "RELEASE", "HEARTBEAT", "ASKED TO")
# The JSON keys of a worker, which are its columns. Public: do not rename them.
KEYS = (
    "id",
    "label",
    "hostname",
    "pid",
    "backend",
    "queues",
    "excluded_queues",
    "slots",
    "memory",
    "version",
    "release",
    "python",
    "started_at",
    "heartbeat_at",
    "given_up_at",
    "asked_to",
)


class Workers:
    """List the workers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add ``--json``."""
        add_json(parser)

    def run(self, command: BaseCommand, options: dict[str, Any]) -> None:
        """Print a table, or JSON."""
        check_reachable()
        workers = census.workers(store())
        if options["json"]:
            print_json(command, [*map(_keyed, workers)])
        elif workers:
            print_table(command, TITLES, map(row_of, workers))
        else:
            print_line(command, "No workers are running.")


class StopWorker:
    """Ask workers to end."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the ids, ``--drain`` and ``--json``."""
        parser.add_argument(
            "ids", type=worker_id, nargs="+", metavar="ID", help="The ids of the workers, in full."
        )
        parser.add_argument(
            "--drain",
            action="store_true",
            help="Let the tasks that run end, however long they take (default: interrupt those "
            "that take longer than SHUTDOWN_TIMEOUT).",
        )
        add_json(parser)

    def run(self, command: BaseCommand, options: dict[str, Any]) -> None:
        """Ask all of them, or none if one does not live; raise CommandError then."""
        check_reachable()
        to = Request.DRAIN if options["drain"] else Request.STOP
        _refuse_unknown(options["ids"])
        try:
            asked = [worker_actions.ask(worker, to) for worker in dict.fromkeys(options["ids"])]
        except ValueError as error:  # it has just ended
            raise CommandError(str(error), returncode=2) from None
        if options["json"]:
            print_json(command, [{"id": one.id, "asked_to": one.asked_to} for one in asked])
            return
        for worker in asked:
            print_line(command, f"{worker.id} ({worker.label}) was asked to {worker.asked_to}.")


def _refuse_unknown(ids: list[UUID]) -> None:
    living = {*store().workers.living().filter(id__in=ids).values_list("id", flat=True)}
    if unknown := [str(one) for one in dict.fromkeys(ids) if one not in living]:
        raise CommandError(
            f"There is no living worker with the id {' or '.join(unknown)}.", returncode=2
        )


def row_of(working: Working) -> tuple[Any, ...]:
    """Return the row of a worker under TITLES."""
    worker = working.worker
    return (
        worker.id,
        worker.label,
        worker.queues_in_words,
        f"{working.busy} of {worker.all_slots}",
        _mebibytes(worker),
        worker.release,
        working.outlook,
        worker.asked_to,
    )


def _mebibytes(worker: Worker) -> str | None:
    return None if worker.memory is None else f"{worker.memory / 2**20:.0f} MiB"


def _keyed(working: Working) -> dict[str, Any]:
    return {
        **{name: getattr(working.worker, name) for name in KEYS},
        "busy": working.busy,
        "seconds_since_heartbeat": working.silence.total_seconds(),
        "runs_in_hand": working.runs_in_hand,
        "silent": working.is_silent,
    }


WORKERS, STOP_WORKER = Workers(), StopWorker()
