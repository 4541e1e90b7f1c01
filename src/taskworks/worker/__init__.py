"""The worker process: claim -> submit -> wait, until it is told to stop."""

from taskworks.worker.observer import Observer
from taskworks.worker.pools import Sizes
from taskworks.worker.processes import Recycling
from taskworks.worker.queues import Queues
from taskworks.worker.worker import Options, Worker

__all__ = ["Observer", "Options", "Queues", "Recycling", "Sizes", "Worker"]
