"""The store: what can be done to the runs and workers of one database."""

from abc import ABC

from taskworks.store.blocking import Blocking
from taskworks.store.cancelling import Cancelling
from taskworks.store.claiming import Claiming
from taskworks.store.finishing import Finishing
from taskworks.store.pruning import Pruning
from taskworks.store.rescuing import Rescuing


class Store(Blocking, Claiming, Finishing, Cancelling, Rescuing, Pruning, ABC):
    """
    All verbs, in the order of a run's life, which begins with enqueueing or blocking; each kind of
    database has a class of its own.
    """
