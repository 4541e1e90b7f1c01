"""pgqueuer: the fastest peer on PostgreSQL; without Django, asyncio only, no results."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import databases
from benchmarks.systems.system import System


class PgQueuer(System):
    name = "pgqueuer"
    stores = ("postgresql",)
    packages = ("pgqueuer", "asyncpg", "uvloop")
    setting = (
        "`PgQueuer.run(batch_size=100)` with asyncpg and uvloop, in our own runner, because its "
        "command fails with the version of typer that pip chooses; a coroutine function"
    )
    differs = "Does not keep return values; no Django; coroutine functions only."
    drains = 20_000

    @property
    def worker(self) -> list[str]:
        return [sys.executable, "-m", "benchmarks.project.pgqueuer_worker", "100"]

    def open(self) -> None:
        import uvloop

        self._loop = uvloop.new_event_loop()
        self._connection, self._queries = self._run(connected(self))

    def close(self) -> None:
        self._run(self._connection.close())

    def prepare(self) -> None:
        self._run(self._queries.install())

    def clear(self) -> None:
        self._run(self._connection.execute("TRUNCATE pgqueuer, pgqueuer_log, pgqueuer_statistics"))

    def enqueue(self, numbers: Sequence[int]) -> None:
        self._run(self.enqueue_async(numbers))

    async def enqueue_async(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            await self._queries.enqueue("noop", b"%d hello-world" % number)

    def enqueue_in_transactions(self, numbers: Sequence[int]) -> None:
        async def each() -> None:
            for number in numbers:
                async with self._connection.transaction():
                    await self.enqueue_async([number])

        self._run(each())

    def run_async(self, coroutine: Any) -> None:
        self._run(coroutine)

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        many = [b"%d hello-world" % number for number in numbers]
        names, priorities = ["noop"] * len(many), [0] * len(many)
        self._run(self._queries.enqueue(names, many, priorities))

    def done(self) -> int:
        counted = "SELECT COUNT(*) FROM pgqueuer_log WHERE status = 'successful'"
        return self._run(self._connection.fetchval(counted))

    def _run(self, coroutine: Any) -> Any:
        return self._loop.run_until_complete(coroutine)


async def connected(system: PgQueuer) -> tuple[Any, Any]:
    """Yield a connection of asyncpg, and pgqueuer's queries on it."""
    import asyncpg
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import Queries

    entry = databases.settings(system.place)
    connection = await asyncpg.connect(
        host=entry["HOST"],
        port=int(entry["PORT"]),
        user=entry["USER"],
        password=entry["PASSWORD"] or None,
        database=entry["NAME"],
    )
    return connection, Queries(AsyncpgDriver(connection))


async def forever(system: PgQueuer, batch_size: int) -> None:
    """Run a worker as pgqueuer's own command does, with its defaults."""
    import signal

    from pgqueuer import PgQueuer as Queue
    from pgqueuer.db import AsyncpgDriver

    from benchmarks.marks import Marker

    connection, _ = await connected(system)
    queue, mark = Queue(AsyncpgDriver(connection)), Marker(system.place.marks)

    @queue.entrypoint("noop")
    async def noop(job: Any) -> None:
        mark(int(job.payload.partition(b" ")[0]))

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, queue.shutdown.set)
    await queue.run(batch_size=batch_size)
