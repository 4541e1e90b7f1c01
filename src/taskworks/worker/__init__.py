"""The worker process: claim -> submit -> wait, until it is told to stop."""

from taskworks.recording.events import Observer
from taskworks.worker.claiming.queues import Queues
from taskworks.worker.pools import Sizes
from taskworks.worker.pools.processes import Recycling
from taskworks.worker.worker import Options, Worker

__all__ = ["Observer", "Options", "Queues", "Recycling", "Sizes", "Worker"]
