"""What one worker of all does every half minute: note how much waits, and how busy workers are."""

from taskworks.duties.shared_duty import SharedDuty
from taskworks.statistics import gauges
from taskworks.store import Store
from taskworks.store.shared_duties import GAUGES


class Sampling(SharedDuty):
    """Does so apart from the heartbeat, which a slow read must not hold up."""

    duty = GAUGES

    def __init__(self, store: Store) -> None:
        super().__init__("sampling", store, "sampling how much waits")

    def fulfil(self) -> None:
        gauges.sample(self._store)
