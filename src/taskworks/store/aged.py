"""A finished run as retention sees it: when it ended, and where."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class Aged(NamedTuple):
    """Enough of a finished run to say whether it goes."""

    finished_at: datetime
    id: UUID
    backend: str
    queue_name: str
