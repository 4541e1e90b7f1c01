"""``worker --processes N``: this process supervises the workers."""

import os
import sys
from contextlib import suppress
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from taskworks.database.shards import using
from taskworks.management.process import (
    flush,
    ignore_signals,
    is_command_line,
    own_command,
    stop_on_signals,
)
from taskworks.management.reach import check_reachable
from taskworks.store import store_for
from taskworks.worker.default_log import log_by_default
from taskworks.worker.supervision.supervisor import Supervisor


def supervise(command: BaseCommand, options: dict[str, Any]) -> None:
    """
    Start the workers, and exit when they have ended.

    Raise CommandError for options that do not go with several processes.
    """
    if options["reload"]:
        raise CommandError("--reload cannot be used with several --processes.", returncode=2)
    if not is_command_line(command):
        raise CommandError(
            "--processes can only be used on the command line: each process runs this command "
            "again, which call_command() does not have. Start several workers instead.",
            returncode=2,
        )
    log_by_default(with_life=options["verbosity"] == 0)
    try:
        with using(options["backend"].database):
            check_reachable(options["backend"].alias)
        supervisor = _supervisor(options)
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from error
    connections.close_all()
    stop_on_signals(supervisor.stop)
    if options["verbosity"] > 0:
        _announce(command, options["processes"])
    code = supervisor.run()
    ignore_signals()
    flush()
    if code:
        sys.exit(code)


def _supervisor(options: dict[str, Any]) -> Supervisor:
    return Supervisor(
        store_for(options["backend"].alias),
        own_command(),
        options["processes"],
        end_by_themselves=options["batch"] or options["max_tasks"] is not None,
    )


def _announce(command: BaseCommand, number: int) -> None:
    with suppress(OSError, ValueError):
        command.stdout.write(
            f"The supervisor (pid {os.getpid()}) starts {number} worker processes."
        )
        command.stdout.flush()
