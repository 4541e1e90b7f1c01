"""sisy's words for what a schedule is given."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

ALIASES = ("allow_overlap",)
EVERY_MINUTE = "* * * * *"


def default_schedule() -> str:
    """Return sisy's setting for a schedule that is given no timing."""
    return getattr(settings, "SISY_DEFAULT_SCHEDULE", EVERY_MINUTE)


def translated(given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the arguments with ``allow_overlap`` as ``overlap``; raise ValueError if both are given.
    """
    others = {name: value for name, value in given.items() if name not in ALIASES}
    if "allow_overlap" not in given:
        return others
    if "overlap" in given:
        raise ValueError("allow_overlap is another name for overlap: give one of the two.")
    return {**others, "overlap": overlap_of(given["allow_overlap"])}


def overlap_of(allow_overlap: Any) -> str:
    """Return the overlap that sisy's flag stands for."""
    if not isinstance(allow_overlap, bool):
        raise ValueError(f"allow_overlap must be True or False, not {allow_overlap!r}.")
    return "run" if allow_overlap else "skip"
