"""Workers and callers that are killed and frozen at one point after another, and replaced."""

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from django.db import connection

from tests.alive import states_of_threads
from tests.faults.pace import PACE
from tests.faults.points import Plan, Strike
from tests.faults.scene import Scene
from tests.faults.workers import FaultyProcess
from tests.freezing import others_can_write

SIGNALS = (signal.SIGKILL, signal.SIGSTOP)
FIRST, LAST = 2.0, 8.0  # seconds of work before one is struck
MOMENT = (0.2, 2.0)  # seconds that one is frozen
ONE_OF = 3  # workers is frozen until its runs were rescued
AFTERWARDS = 3.0  # seconds that one goes on after it was frozen


@dataclass
class Doomed:
    """A process with a plan, and what has become of it."""

    process: FaultyProcess
    is_caller: bool
    wakes_at: float | None = None  # it is frozen until then
    retires_at: float | None = None  # it was frozen before


class Fate:
    """Gives each process its plan: the point that has befallen the fewest."""

    def __init__(self, scene: Scene, workers: int, callers: int) -> None:
        self.scene = scene
        self._notes = scene.folder / "strikes"
        self._numbers = count(1)
        self._planned: Counter[tuple[str, int]] = Counter()
        self.frozen: set[int] = set()  # process ids, of those that have ever been
        self.journals: list[Path] = []
        self.all = [self._begin(is_caller=False) for _ in range(workers)]
        self.all += [self._begin(is_caller=True) for _ in range(callers)]

    @property
    def strikes(self) -> list[Strike]:
        return Strike.read(self._notes)

    def look(self) -> None:
        """Wake the frozen in their time, and replace those that have ended."""
        for doomed in [*self.all]:
            if not doomed.process.is_running:
                self._bury(doomed)
                self.all.remove(doomed)
                self.all.append(self._begin(is_caller=doomed.is_caller))
            elif doomed.wakes_at:
                self._wake_if_time(doomed)
            elif doomed.retires_at:
                if time.monotonic() > doomed.retires_at:
                    self._retire(doomed)
            elif states_of_threads(doomed.process.pid) == {"T"}:
                self.frozen.add(doomed.process.pid)
                doomed.wakes_at = time.monotonic() + self._how_long(doomed)

    def end(self) -> None:
        """Nobody is struck any more, and nothing is enqueued."""
        for doomed in self.all:
            doomed.process.kill()

    def _wake_if_time(self, doomed: Doomed) -> None:
        if time.monotonic() > (doomed.wakes_at or 0):
            doomed.process.wake()
            self.scene.happens(f"SIGCONT of {doomed.process.label}")
            doomed.wakes_at, doomed.retires_at = None, time.monotonic() + AFTERWARDS

    def _retire(self, doomed: Doomed) -> None:
        """A worker by SIGTERM; to a caller that is a kill like any other."""
        if not doomed.process.is_expendable:
            doomed.process.ask_to_stop()

    def _bury(self, doomed: Doomed) -> None:
        code = doomed.process.wait()
        has_stopped = doomed.retires_at and code in ((-15,) if doomed.is_caller else (0,))
        assert code == -9 or has_stopped, f"{doomed.process.label} ended with {code}"
        doomed.process.is_expendable = True
        self.scene.happens(f"{doomed.process.label} has ended with {code}")

    def _how_long(self, doomed: Doomed) -> float:
        holds_up_all = connection.vendor == "sqlite" and not others_can_write()
        if doomed.is_caller or holds_up_all or random.randrange(ONE_OF):
            return random.uniform(*MOMENT)
        self.scene.happens(f"{doomed.process.label} is frozen until its runs were rescued")
        return PACE.rescue

    def _begin(self, *, is_caller: bool) -> Doomed:
        plan, number = self._plan(is_caller=is_caller), next(self._numbers)
        if is_caller:
            journal = self.scene.folder / f"journal-{number}"
            self.journals.append(journal)
            process = self.scene.begin_caller(f"caller-{number}", journal, **plan.environ)
        else:
            process = self.scene.begin_worker(f"worker-{number}", "-v", "0", **plan.environ)
        self.scene.happens(f"{process.label}: {signal.Signals(plan.number).name} at {plan.point}")
        return Doomed(process, is_caller)

    def _plan(self, *, is_caller: bool) -> Plan:
        strikes = [strike for strike in self.strikes if strike.is_of_caller == is_caller]
        points = sorted({point for strike in strikes for point in strike.passed} or {""})
        choices = [(point, int(number)) for point in points for number in SIGNALS]
        random.shuffle(choices)
        struck = Counter((strike.point, strike.number) for strike in strikes)
        chosen = min(choices, key=lambda choice: struck[choice] + self._planned[choice])
        self._planned[chosen] += 1
        after = random.uniform(FIRST, LAST)
        return Plan(notes=str(self._notes), after=after, point=chosen[0], number=chosen[1])
