"""The store: what can be done to the runs and workers of one database."""

from abc import ABC

from taskworks.store.blocking import Blocking
from taskworks.store.cancelling import Cancelling
from taskworks.store.claiming import Claiming
from taskworks.store.finishing import Finishing
from taskworks.store.pruning import Pruning
from taskworks.store.rescuing import Rescuing
from taskworks.store.scheduling import Scheduling


class Store(Blocking, Claiming, Finishing, Cancelling, Rescuing, Pruning, Scheduling, ABC):
    """
    All verbs: a run's in the order of its life, which begins with enqueueing or blocking, then a
    schedule's; one class per database.
    """
