"""One example of each outcome. A test holds that none is missing."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from taskworks.execution import (
    Cancelled,
    Committed,
    Crashed,
    Failed,
    Fenced,
    Lost,
    Parked,
    Poisoned,
    Postponed,
    Released,
    Retried,
    Settled,
    Snoozed,
    Succeeded,
    Suspended,
)

ERROR = ValueError("no luck")
ENTRY = {"exception_class_path": "builtins.ValueError", "traceback": "ValueError: no luck\n"}
MINUTE = timedelta(minutes=1)

# And the state in which it leaves a run.
EXAMPLES: list[tuple[Settled, str]] = [
    (Succeeded(3), "successful"),
    (Failed(ERROR, ENTRY), "failed"),
    (Retried(ERROR, ENTRY, MINUTE), "scheduled"),
    (Snoozed(MINUTE), "scheduled"),
    (Suspended(MINUTE, frozenset()), "scheduled"),
    (Cancelled(ERROR, ENTRY), "cancelled"),
    (Released(), "ready"),
    (Parked(UUID(int=1)), "blocked"),
    (Postponed(MINUTE, ERROR), "scheduled"),
    (Crashed(ERROR, ENTRY), "ready"),
    (Poisoned(ERROR, ENTRY), "failed"),
    (Lost(ERROR, ENTRY), "failed"),
    (Committed(3, datetime(2026, 1, 1, tzinfo=UTC)), "running"),  # its own transaction writes it
    (Fenced(), "running"),  # nobody writes it here
]
