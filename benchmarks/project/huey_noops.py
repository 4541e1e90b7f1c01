"""The no-op as a huey task."""

from typing import Any

from huey import Huey, RedisHuey
from huey.storage import SqliteStorage

from benchmarks import databases
from benchmarks.marks import Marker
from benchmarks.place import Place


class Storage(SqliteStorage):
    """SQLite with the durability that the other systems have here; huey's default is stricter."""

    def _create_connection(self) -> Any:
        connection = super()._create_connection()
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection


place = Place.here()
mark = Marker(place.marks)
if place.store == "redis":
    queue = RedisHuey(place.database, url=f"{databases.REDIS}/{databases.QUEUES}")
else:
    file = databases.settings(place)["NAME"]
    queue = Huey(place.database, storage_class=Storage, filename=file)


@queue.task()
def noop(number: int, word: str) -> int:
    mark(number)
    return number
