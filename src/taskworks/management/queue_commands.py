"""
``manage.py taskworks pause``, ``resume`` and ``clear``: act on a queue, a task, a limit or a key;
and ``drain``, on a queue.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks import control, polling
from taskworks.actions import audit, clearing, pausing
from taskworks.actions.scopes import demand, demand_here, scope_of
from taskworks.logs import visible
from taskworks.management.argument_types import database_backend, point_in_time, seconds
from taskworks.management.exit_codes import INTERRUPTED, TIMED_OUT
from taskworks.management.output import add_json, print_json, print_line
from taskworks.management.questions import confirm, demand_a_reader
from taskworks.management.reach import check_reachable
from taskworks.models import Pause
from taskworks.models.pause import LIMIT, TASK, Scope
from taskworks.options.limits import OF_NONE
from taskworks.store import store


@dataclass
class QueueAction:
    """A subcommand that takes the name of a queue, and its backend."""

    add_more: Callable[[Any], None]
    act: Callable[[BaseCommand, Scope, dict[str, Any]], dict[str, Any]]
    backend_type: Callable[[str], Any] = database_backend
    interrupted: str = "Stopped."  # what Ctrl-C leaves
    takes_others: bool = True  # tasks and limits, in place of a queue

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the queue, its backend, the action's own options, and ``--json``."""
        add = parser.add_argument
        if self.takes_others:
            add("queue", metavar="QUEUE", nargs="?", help="The name of the queue.")
            add("--task", metavar="PATH", help="In place of a queue: the path of a task.")
            add("--limit", metavar="NAME", help="In place of a queue: the name of a limit.")
            add("--key", metavar="KEY", help="With --limit: a key of the limit, as it is shown.")
        else:
            add("queue", metavar="QUEUE", help="The name of the queue.")
        add(
            "--backend",
            type=self.backend_type,
            metavar="ALIAS",
            help="The backend in TASKS that has the queue (default: default).",
        )
        self.add_more(add)
        add_json(parser)

    def run(self, command: BaseCommand, options: dict[str, Any]) -> None:
        """Act, and print what was done; raise CommandError for a name or an option that is bad."""
        check_reachable()
        with self._errors_as_command_errors():
            scope = _scope(options)
            demand_here(scope)
            done = self.act(command, scope, options)
        if options["json"]:
            print_json(command, {**names_of(scope), **done})

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


def _scope(options: dict[str, Any]) -> Scope:
    backend = options["backend"]
    given = {name: options.get(name) for name in ("task", "limit")}
    if (key := options.get("key")) is not None:
        given["key"] = None if key == OF_NONE else key
    alias = getattr(backend, "alias", backend)
    return scope_of(options["queue"], backend=alias, **given)


def names_of(scope: Scope) -> dict[str, str]:
    """Return what is paused for JSON, in the names that runs have for it."""
    if scope.kind == TASK:
        return {"task_path": scope.name}
    if scope.kind == LIMIT:
        return {"limit_name": scope.name, **({"lane": scope.key} if scope.key else {})}
    return {"backend": scope.backend, "queue_name": scope.name}


def keyed(pause: Pause) -> dict[str, Any]:
    """Return a pause for JSON, without what is paused."""
    return {name: getattr(pause, name) for name in ("until", "reason", "by", "at")}


def _add_pause_options(add: Any) -> None:
    add(
        "--until",
        type=point_in_time,
        metavar="TIME",
        help="The date and time at which the pause ends by itself, or a number of seconds from now "
        "(default: when it is resumed).",
    )
    add("--reason", default="", metavar="TEXT", help="Why, for people.")
    add("--by", metavar="NAME", help="By whom, for people (default: the name of your login).")
    add("--wait", action="store_true", help="Wait until none of its runs is in hand.")
    _add_timeout(add, "With --wait: the longest time to wait (default: no limit).")


def _add_timeout(add: Any, text: str) -> None:
    add("--timeout", type=seconds, metavar="SECONDS", help=text)


def _pause(command: BaseCommand, scope: Scope, options: dict[str, Any]) -> dict[str, Any]:
    if options["timeout"] is not None and not options["wait"]:
        raise CommandError("--timeout requires --wait.", returncode=2)
    pause = pausing.pause(
        scope,
        until=options["until"],
        reason=options["reason"],
        by=audit.login().name if options["by"] is None else options["by"],
        wait=options["wait"],
    )
    if options["wait"]:
        polling.wait_until(*pausing.end_of_runs(scope, options["timeout"]))
    _say(command, options, f"The {scope} is {pause.in_words}")
    return keyed(pause)


def _resume(command: BaseCommand, scope: Scope, options: dict[str, Any]) -> dict[str, Any]:
    resumed = pausing.resume(scope)
    _say(command, options, f"The {scope} {'is resumed' if resumed else 'was not paused'}.")
    return {"resumed": resumed}


def _add_clear_options(add: Any) -> None:
    add("--no-input", action="store_true", help="Do not ask whether to cancel the runs.")


def _clear(command: BaseCommand, scope: Scope, options: dict[str, Any]) -> dict[str, Any]:
    demand(scope)
    if not options["no_input"]:
        _ask(scope, options)
    cancelled = clearing.clear(scope)
    _say(command, options, f"Cancelled {_runs(cancelled)} of the {scope}.")
    return {"cancelled": cancelled}


def _ask(scope: Scope, options: dict[str, Any]) -> None:
    """Raise CommandError unless the user says that the runs are to be cancelled."""
    demand_a_reader(options)
    if count := store().count_waiting(scope):
        what = f"{_runs(count)} of the {scope} would be cancelled, and none that a worker has."
        confirm(what, "cancelled")


def _add_drain_options(add: Any) -> None:
    _add_timeout(add, "The longest time to wait (default: no limit).")


def _drain(command: BaseCommand, scope: Scope, options: dict[str, Any]) -> dict[str, Any]:
    demand(scope)
    _warn_of_pause(command, scope)
    control.drain(scope.name, backend=scope.backend, timeout=options["timeout"])
    _say(command, options, f"No run of the {scope} is ready or in hand.")
    return {"drained": True}


def _warn_of_pause(command: BaseCommand, scope: Scope) -> None:
    pause = store().pauses.in_force().of(scope).first()
    if pause:
        warning = f"The {scope} is {pause.in_words} While it is, no worker begins its runs."
        command.stderr.write(visible(warning))


def _say(command: BaseCommand, options: dict[str, Any], sentence: str) -> None:
    if not options["json"]:
        print_line(command, sentence)


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


PAUSE = QueueAction(
    _add_pause_options,
    _pause,
    interrupted="Stopped. What was done before stands, such as a pause.",
)
RESUME = QueueAction(lambda add: None, _resume, backend_type=str)
CLEAR = QueueAction(
    _add_clear_options,
    _clear,
    interrupted="Stopped. Runs that were cancelled before stay cancelled.",
)
DRAIN = QueueAction(
    _add_drain_options,
    _drain,
    interrupted="Stopped waiting for the queue. Nothing was changed.",
    takes_others=False,
)
