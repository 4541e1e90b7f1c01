"""The options that say which runs are meant: those of ``list``, and of whatever acts on runs."""

import argparse
from typing import Any

from django.core.management.base import CommandError

from taskworks.filtering import FilterError, RunFilter, parse

HELP = {
    "state": ("STATE", "Runs in this state."),
    "task": ("PATH", "Runs of this task, or schedule's callable."),
    "queue": ("NAME", "Runs of this queue."),
    "backend": ("ALIAS", "Runs of this backend."),
    "worker": ("LABEL", "Runs that the worker with this label or id has, or has executed."),
    "schedule": ("LABEL", "Runs of this schedule."),
    "owner": ("OWNER", "Runs of this owner."),
    "workflow": ("ID", "Runs of this workflow."),
    "group": ("GROUP", "Failed runs of this group of failures."),
    "error": ("TEXT", "Runs whose latest error has this text in its class or its message."),
    "since": (
        "TIME",
        "Runs that ended since then, or, if they have not ended, were enqueued since then: how "
        "long ago, such as 15m, 2h or 3d, or a date and time.",
    ),
    "until": ("TIME", "The same, before then."),
    "enqueued-since": ("TIME", "Runs that were enqueued since then."),
    "enqueued-until": ("TIME", "Runs that were enqueued before then."),
    "took": ("DURATION", "Finished runs that took so long or longer, or '<30s': less."),
    "attempts": ("N", "Runs with so many attempts or more, or '<N': fewer."),
    "arg": ("NAME=VALUE", "Runs that were given this argument, such as order.country=CH."),
}
SEVERAL = {"state", "task", "queue", "backend", "worker", "schedule", "error", "arg"}


def add_filter(parser: argparse.ArgumentParser) -> None:
    """Add the options of a filter, as a group in the help."""
    group = parser.add_argument_group(
        "which runs", "Runs meet all conditions; of one that is given several times, any of them."
    )
    for name, (metavar, text) in HELP.items():
        group.add_argument(
            f"--{name}",
            action="append" if name in SEVERAL else "store",
            metavar=metavar,
            help=text,
            dest=name.replace("-", "_"),
        )


def filter_of(options: dict[str, Any]) -> RunFilter:
    """Return the filter of these options; raise CommandError for nonsense."""
    given = {name: options.get(name.replace("-", "_")) for name in HELP}
    texts = {
        name: [str(one) for one in (value if isinstance(value, list | tuple) else [value])]
        for name, value in given.items()
        if value is not None
    }
    if empty := [name for name, values in texts.items() if "" in values]:
        raise CommandError(f"--{empty[0]} is empty.", returncode=2)
    try:
        return parse(texts)
    except FilterError as error:
        said = " ".join(_as_option(name, text) for name, text in error.errors.items())
        raise CommandError(said, returncode=2) from None


def _as_option(name: str, text: str) -> str:
    return f"--{text}" if text.startswith(name) else text
