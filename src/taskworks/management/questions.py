"""Questions to the user, before something that cannot be undone."""

from typing import Any

from django.core.management.base import CommandError

from taskworks.logs import visible

ANSWER = "yes"


def demand_a_reader(options: dict[str, Any]) -> None:
    """Raise CommandError if a program reads the output, because it does not answer questions."""
    if options["json"]:
        raise CommandError("--json requires --no-input: nobody reads a question.", returncode=2)


def confirm(what: str, past: str) -> None:
    """Raise CommandError unless the user agrees to what would be done, such as "cancelled"."""
    try:
        answer = input(visible(f"{what} Type '{ANSWER}' to continue: "))
    except EOFError:
        answer = ""
    if answer.strip() != ANSWER:
        raise CommandError(f"Nothing was {past}. Use --no-input in scripts.", returncode=1)
