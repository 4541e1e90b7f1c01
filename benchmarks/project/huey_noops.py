"""The no-op as a task of huey."""

from huey import RedisHuey, SqliteHuey

from benchmarks import databases
from benchmarks.marks import Marker
from benchmarks.place import Place

place = Place.here()
mark = Marker(place.marks)
if place.store == "redis":
    queue = RedisHuey(place.database, url=f"{databases.REDIS}/{databases.QUEUES}")
else:
    queue = SqliteHuey(place.database, filename=databases.settings(place)["NAME"])


@queue.task()
def noop(number: int, word: str) -> int:
    mark(number)
    return number
