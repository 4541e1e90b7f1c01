"""What steps and events may be called, and the keys that follow from that."""

from typing import Any
from uuid import UUID, uuid5

MAX_STEP_NAME = 128  # characters

# Of the keys of steps; never changed, or the other side would not know a key again.
NAMESPACE = UUID("1ff42878-9b39-4a25-be13-122b7e3ad1b2")


def validate_step_name(name: Any) -> None:
    """Raise TypeError or ValueError unless a step or an event may be called that."""
    if not isinstance(name, str):
        raise TypeError(f"The name of a step or an event must be text, not {name!r:.200}.")
    is_clean = name.isprintable() and name == name.strip()
    if not (0 < len(name) <= MAX_STEP_NAME and is_clean):
        raise ValueError(
            f"The name of a step or an event must be 1 to {MAX_STEP_NAME} printable characters "
            f"without surrounding spaces, not {name!r:.200}."
        )


def step_key(run_id: str, name: str) -> str:
    """Return the key of a step: the same in each attempt of its run, and in no other run."""
    return str(uuid5(NAMESPACE, f"{run_id}/{name}"))
