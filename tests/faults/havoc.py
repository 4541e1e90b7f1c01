"""Workers that are killed and stopped again and again, and replaced as a service manager does."""

import random
import time
from collections.abc import Callable
from itertools import count

from taskworks.models import TaskRun, Worker
from tests.faults.pace import PACE, SLACK
from tests.faults.scene import Scene
from tests.faults.workers import FaultyWorker
from tests.waiting import wait_for


class Havoc:
    """
    Strikes are done to workers that have runs in hand, evenly spread over the runs, or at random
    with a ``schedule``; whoever ends is replaced at once. One is spared: to give up others takes a
    worker that has lived for as long as they must be silent.
    """

    def __init__(
        self, scene: Scene, workers: int, *arguments: str, schedule: random.Random | None = None
    ) -> None:
        self.scene, self._arguments = scene, arguments
        self._schedule = schedule
        self._frozen: list[tuple[FaultyWorker, str, float]] = []  # its row, and when it wakes
        self._labels = count(1)
        self._begin()
        self._working = [self._begin() for _ in range(workers - 1)]
        self._left_behind: dict[str, float] = {}  # rows of workers that were killed, and when
        self.slowest = 0.0  # seconds until the runs of one were claimable
        wait_for(lambda: scene.living() == workers, "all workers are up", 60)

    def kill(self) -> None:
        """``kill -9`` of one that has runs in hand."""
        worker, row = self._busy_one()
        self.scene.kill(worker)
        self._left_behind[row] = time.monotonic()
        self._replace(worker)

    def stop(self) -> None:
        worker, _ = self._busy_one()
        worker.ask_to_stop()
        self.scene.happens(f"SIGTERM of worker {worker.label}")
        self._replace(worker)

    def freeze(self) -> None:
        """SIGSTOP of one that has runs in hand, until before its rescue, or after it."""
        worker, row = self._busy_one()
        worker.freeze()
        self.scene.strikes(f"SIGSTOP of worker {worker.label}")
        self._left_behind[row] = now = time.monotonic()
        self._working.remove(worker)
        self._working.append(self._begin())
        wakes_at = now + 2 * PACE.rescue * (self._schedule or random.Random()).random()
        self._frozen.append((worker, row, wakes_at))

    def until(self, done: Callable[[], int], total: int, strikes: list[Callable[[], None]]) -> None:
        """Strike in this order while the runs are done, until all are."""
        self.strike(done, total, strikes)
        self.finish(done, total)

    def strike(
        self, done: Callable[[], int], total: int, strikes: list[Callable[[], None]]
    ) -> None:
        """Strike in this order while the runs are done."""
        due = [(index + 1) * total // (len(strikes) + 1) for index in range(len(strikes))]
        if self._schedule:
            due = sorted(self._schedule.sample(range(total * 9 // 10), len(strikes)))
        for threshold, strike in zip(due, strikes, strict=True):
            self._wait(lambda threshold=threshold: done() >= threshold, f"{threshold} are done")
            strike()

    def finish(self, done: Callable[[], int], total: int) -> None:
        """Wait until all runs are done, and nothing of the strikes is left."""
        self._wait(lambda: done() >= total, f"all {total} are done")
        self._wait(lambda: not self._left_behind, "the runs of all that were killed are claimable")
        self._wait(lambda: not self._frozen, "all that were frozen go on")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        def met() -> bool:
            self._look_at_what_is_left()
            return condition()

        wait_for(met, what, 600)

    def _look_at_what_is_left(self) -> None:
        """None may be left with one that was killed for longer than a rescue takes."""
        now = time.monotonic()
        for frozen in [one for one in self._frozen if now >= one[-1]]:
            self._frozen.remove(frozen)
            worker, row, _ = frozen
            self._left_behind.pop(row, None)
            worker.wake()
            self.scene.happens(f"SIGCONT of worker {worker.label}")
        for row, killed in [*self._left_behind.items()]:
            if TaskRun.objects.in_hand().filter(claimed_by=row).exists():
                late = now - killed - PACE.rescue - SLACK
                assert late < 0, f"runs are still with the killed worker {row}"
            else:
                self.slowest = max(self.slowest, now - killed)
                del self._left_behind[row]

    def _busy_one(self) -> tuple[FaultyWorker, str]:
        # What is left may all be with some that were killed, until its rescue.
        return wait_for(self._find_busy, "a worker has runs in hand", 2 * PACE.rescue + 60)

    def _find_busy(self) -> tuple[FaultyWorker, str] | None:
        rows = {row.pid: str(row.id) for row in Worker.objects.living()}
        for worker in random.sample(self._working, len(self._working)):
            row = rows.get(worker.pid)
            if row and TaskRun.objects.in_hand().filter(claimed_by=row).exists():
                return worker, row
        return None

    def _replace(self, worker: FaultyWorker) -> None:
        self._working.remove(worker)
        self._working.append(self._begin())

    def _begin(self) -> FaultyWorker:
        return self.scene.begin_worker(f"w{next(self._labels)}", "-v", "0", *self._arguments)
