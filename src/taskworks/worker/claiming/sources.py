"""Which source of wake-ups a worker has."""

from typing import Any

from taskworks.conf import conf
from taskworks.store import Store
from taskworks.worker.claiming import WakeUpSource
from taskworks.worker.claiming.listening import NotificationListener
from taskworks.worker.claiming.redis_listening import RedisListener
from taskworks.worker.claiming.several import SeveralSources
from taskworks.worker.claiming.watching import CommitWatcher


def wake_up_source(store: Store, *others: Any, **callbacks: Any) -> WakeUpSource:
    """
    Return the source for this kind of database, made with the arguments of
    ``NotificationListener``, and with Redis beside it if the settings name one. Where none is
    possible, the listener ends at once, and the worker polls.
    """
    kind = CommitWatcher if store.can_see_commits else NotificationListener
    if not conf().wakeup:
        return kind(store, *others, **callbacks)
    redis = RedisListener(store, *others, **callbacks)
    return SeveralSources(
        redis, kind(store, *others, **callbacks, is_woken_otherwise=lambda: redis.works)
    )
