"""The no-op as a Dramatiq actor."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks import databases
from benchmarks.marks import Marker
from benchmarks.place import Place

place = Place.here()
mark = Marker(place.marks)
broker = RedisBroker(url=f"{databases.REDIS}/{databases.QUEUES}")
broker.add_middleware(Results(backend=RedisBackend(url=f"{databases.REDIS}/{databases.RESULTS}")))
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=place.database, store_results=True)
def noop(number: int, word: str) -> int:
    mark(number)
    return number
