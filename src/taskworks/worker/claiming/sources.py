"""Which source of wake-ups a worker has."""

from typing import Any

from taskworks.store import Store
from taskworks.worker.claiming import WakeUpSource
from taskworks.worker.claiming.listening import NotificationListener
from taskworks.worker.claiming.watching import CommitWatcher


def wake_up_source(store: Store, *others: Any, **callbacks: Any) -> WakeUpSource:
    """
    Return the source for this kind of database, made with the arguments of
    ``NotificationListener``. Where neither is possible, the listener ends at once, and the worker
    polls.
    """
    kind = CommitWatcher if store.can_see_commits else NotificationListener
    return kind(store, *others, **callbacks)
