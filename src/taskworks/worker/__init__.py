"""The worker process: claim -> submit -> wait, until it is told to stop."""

from taskworks.recording.events import Observer
from taskworks.worker.claiming.queues import Queues
from taskworks.worker.loop import Worker
from taskworks.worker.options import Options
from taskworks.worker.pools import Sizes
from taskworks.worker.pools.processes import Recycling

__all__ = ["Observer", "Options", "Queues", "Recycling", "Sizes", "Worker"]
