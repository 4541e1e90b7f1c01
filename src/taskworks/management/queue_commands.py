"""``manage.py taskworks pause``, ``resume``, ``clear`` and ``drain``: act on one queue."""

import argparse
import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks import control
from taskworks.logs import visible
from taskworks.management.argument_types import database_backend, point_in_time, seconds
from taskworks.management.output import add_json, print_json, print_line
from taskworks.management.reach import check_reachable
from taskworks.management.run_command import INTERRUPTED, TIMED_OUT
from taskworks.models import Pause
from taskworks.store import store

ANSWER = "yes"


@dataclass
class QueueAction:
    """A subcommand that takes the name of a queue, and its backend."""

    HELP: str
    add_more: Callable[[Any], None]
    act: Callable[[BaseCommand, str, str, dict[str, Any]], dict[str, Any]]
    backend_type: Callable[[str], Any] = database_backend
    interrupted: str = "Stopped."  # what Ctrl-C leaves

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the queue, its backend, the action's own options, and ``--json``."""
        parser.add_argument("queue", metavar="QUEUE", help="The name of the queue.")
        parser.add_argument(
            "--backend",
            type=self.backend_type,
            default="default",
            metavar="ALIAS",
            help="The backend in TASKS that has the queue (default: default).",
        )
        self.add_more(parser.add_argument)
        add_json(parser)

    def run(self, command: BaseCommand, options: dict[str, Any]) -> None:
        """Act, and print what was done; raise CommandError for a queue or an option that is bad."""
        check_reachable()
        queue, backend = options["queue"], options["backend"]
        alias = backend if isinstance(backend, str) else backend.alias
        with self._errors_as_command_errors():
            done = self.act(command, queue, alias, options)
        if options["json"]:
            print_json(command, {"backend": alias, "queue_name": queue, **done})

    @contextmanager
    def _errors_as_command_errors(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise CommandError(str(error), returncode=TIMED_OUT) from None
        except (TypeError, ValueError) as error:
            raise CommandError(str(error), returncode=2) from error
        except KeyboardInterrupt:
            raise CommandError(self.interrupted, returncode=INTERRUPTED) from None


def keyed(pause: Pause) -> dict[str, Any]:
    """Return a pause for JSON, without its queue."""
    return {name: getattr(pause, name) for name in ("until", "reason", "by", "at")}


def _add_pause_options(add: Any) -> None:
    add(
        "--until",
        type=point_in_time,
        metavar="TIME",
        help="The date and time at which the pause ends by itself, or a number of seconds from now "
        "(default: when the queue is resumed).",
    )
    add("--reason", default="", metavar="TEXT", help="Why, for people.")
    add("--by", metavar="NAME", help="By whom, for people (default: the name of your login).")
    add("--wait", action="store_true", help="Wait until no run of the queue is in hand.")
    _add_timeout(add, "With --wait: the longest time to wait (default: no limit).")


def _add_timeout(add: Any, text: str) -> None:
    add("--timeout", type=seconds, metavar="SECONDS", help=text)


def _pause(
    command: BaseCommand, queue: str, backend: str, options: dict[str, Any]
) -> dict[str, Any]:
    if options["timeout"] is not None and not options["wait"]:
        raise CommandError("--timeout requires --wait.", returncode=2)
    pause = control.pause(
        queue,
        backend=backend,
        until=options["until"],
        reason=options["reason"],
        by=_login() if options["by"] is None else options["by"],
        wait=options["wait"],
        timeout=options["timeout"],
    )
    _say(command, options, f"{_named(queue, backend)} is {pause.in_words}")
    return keyed(pause)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, a user may have no name
        return ""


def _resume(
    command: BaseCommand, queue: str, backend: str, options: dict[str, Any]
) -> dict[str, Any]:
    resumed = control.resume(queue, backend=backend)
    _say(
        command,
        options,
        f"{_named(queue, backend)} {'is resumed' if resumed else 'was not paused'}.",
    )
    return {"resumed": resumed}


def _add_clear_options(add: Any) -> None:
    add("--no-input", action="store_true", help="Do not ask whether to cancel the runs.")


def _clear(
    command: BaseCommand, queue: str, backend: str, options: dict[str, Any]
) -> dict[str, Any]:
    if not options["no_input"]:
        _ask(queue, backend, options)
    cancelled = control.clear(queue, backend=backend)
    _say(command, options, f"Cancelled {_runs(cancelled)} of {_named(queue, backend, 'the')}.")
    return {"cancelled": cancelled}


def _ask(queue: str, backend: str, options: dict[str, Any]) -> None:
    """Raise CommandError unless the user says that the runs are to be cancelled."""
    if options["json"]:
        raise CommandError("--json requires --no-input: nobody reads a question.", returncode=2)
    control.validate_queue(queue, backend)
    count = store().count_waiting(backend, queue)
    if not count:
        return
    question = (
        f"{_runs(count)} of {_named(queue, backend, 'the')} would be cancelled, and none that a "
        f"worker has. Type '{ANSWER}' to go on: "
    )
    try:
        answer = input(question)
    except EOFError:
        answer = ""
    if answer.strip() != ANSWER:
        raise CommandError("Nothing was cancelled. Use --no-input in scripts.", returncode=1)


def _add_drain_options(add: Any) -> None:
    _add_timeout(add, "The longest time to wait (default: no limit).")


def _drain(
    command: BaseCommand, queue: str, backend: str, options: dict[str, Any]
) -> dict[str, Any]:
    control.validate_queue(queue, backend)
    _warn_of_pause(command, queue, backend)
    control.drain(queue, backend=backend, timeout=options["timeout"])
    _say(command, options, f"No run of {_named(queue, backend, 'the')} is ready or in hand.")
    return {"drained": True}


def _warn_of_pause(command: BaseCommand, queue: str, backend: str) -> None:
    pause = store().pauses.in_force().of_queue(backend, queue).first()
    if pause:
        paused = f"{_named(queue, backend)} is {pause.in_words}"
        command.stderr.write(visible(f"{paused} While it is, no worker begins its runs."))


def _say(command: BaseCommand, options: dict[str, Any], sentence: str) -> None:
    if not options["json"]:
        print_line(command, sentence)


def _named(queue: str, backend: str, article: str = "The") -> str:
    return f"{article} queue {queue!r} of the backend {backend!r}"


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


PAUSE = QueueAction(
    "Keep workers from beginning runs of a queue.",
    _add_pause_options,
    _pause,
    interrupted="Stopped. What was done before stands, such as a pause.",
)
RESUME = QueueAction("End the pause of a queue.", lambda add: None, _resume, backend_type=str)
CLEAR = QueueAction(
    "Cancel the runs of a queue that wait.",
    _add_clear_options,
    _clear,
    interrupted="Stopped. Runs that were cancelled before stay cancelled.",
)
DRAIN = QueueAction(
    "Wait until no run of a queue is ready or in hand.",
    _add_drain_options,
    _drain,
    interrupted="Stopped waiting for the queue. Nothing was changed.",
)
