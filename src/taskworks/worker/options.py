"""What a worker claims, and how much of it at once."""

from dataclasses import dataclass, field

from taskworks.worker.claiming.queues import Queues
from taskworks.worker.pools import Sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a worker claims, and how much of it at once."""

    queues: Queues
    sizes: Sizes = field(default_factory=Sizes)
    interval: float = 1.0  # seconds between two looks at queues that stay empty
    batch: bool = False  # stop when nothing is ready and nothing runs
    max_tasks: int | None = None  # stop after this many runs
    label: str = ""
