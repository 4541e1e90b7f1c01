"""An hour of load, while a fault follows the other; `make soak` runs it (37)."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import pytest
from django.db import connection

from taskworks.models import TaskRun
from tests.connections import begin_elsewhere
from tests.faults import sabotage, shelf
from tests.faults.invariants import assert_invariants
from tests.faults.ledger import Entry, Ledger
from tests.faults.pace import PACE, SLACK
from tests.faults.proxy import Proxy
from tests.faults.scene import Scene
from tests.faults.workers import FaultyWorker, through_port
from tests.waiting import wait_for

SECONDS = float(os.environ.get("TASKWORKS_SOAK_SECONDS", "3600"))
RATE = int(os.environ.get("TASKWORKS_SOAK_RATE", "500"))  # runs a second
ROUND = 20.0  # seconds, with one fault in each
A_CHUNK = 0.2  # seconds whose runs are enqueued together
WARM_UP = 3  # rounds until memory is compared
LONG = 30  # rounds from which on what grows is no warming up
GROWTH = 1.05
CRASHES = 5  # that a run may meet


@dataclass
class Round:
    """The runs that were enqueued between two faults, and what the ledger has of them."""

    ids: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    recorded: Counter[tuple[str, int]] = field(default_factory=Counter)

    def read(self, entries: list[Entry]) -> None:
        self.ended |= {entry.run for entry in entries if entry.event == "end"} & self.ids
        self.recorded.update(
            (entry.run, entry.attempt)
            for entry in entries
            if entry.event == "recorded" and entry.run in self.ids
        )

    def left(self) -> int:
        there = TaskRun.objects.successful().filter(id__in=list(self.ids)).count()
        return len(self.ids) - there


class Soak:
    """One worker that nobody kills, one behind a proxy, two that live dangerously."""

    def __init__(self, scene: Scene, proxy: Proxy | None) -> None:
        self.scene, self._proxy = scene, proxy
        self.survivor = self._begin("survivor")
        there = through_port(proxy.port, proxy.address) if proxy else {}
        self._begin("distant", **there)
        self._mortal = [self._begin("mortal"), self._begin("mortal")]
        wait_for(lambda: scene.living() == 4, "all workers are up", 60)
        self.faults: list[Callable[[], None]] = [self.kill, self.stop, self.freeze]
        if proxy:
            self.faults += [self.terminate, self.black_hole]
            self._feeding = sabotage.own_session()
        self.rounds: list[Round] = []
        self.runs = self.most_rows = self.struck = 0

    def run(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        memory = 0
        while time.monotonic() < ends:
            fault = begin_elsewhere(random.choice(self.faults))
            self.rounds.append(self._feed())
            fault.result(timeout=PACE.rescue + 60)
            self.struck += 1
            self._read_ledger()
            if len(self.rounds) > 2:
                self._settle(self.rounds.pop(0))
            if self.struck == WARM_UP:
                memory = self.survivor.memory()
        while self.rounds:
            self._settle(self.rounds.pop(0))
        grown = self.survivor.memory() / (memory or self.survivor.memory())
        assert grown < GROWTH or self.struck < LONG, f"memory has grown by a factor of {grown:.2f}"
        self.scene.sees(
            f"{self.runs:,} runs in {seconds:.0f} s, {self.struck} faults, at most "
            f"{self.most_rows:,} rows, memory of a worker times {grown:.2f}"
        )

    def _feed(self) -> Round:
        a_round, began, fed = Round(), time.monotonic(), 0
        while (passed := time.monotonic() - began) < ROUND:
            due = int(passed * RATE)
            if due - fed >= RATE * A_CHUNK:
                results = shelf.quick.enqueue_many([{}] * (due - fed))
                a_round.ids |= {result.id for result in results}
                fed = due
            time.sleep(A_CHUNK / 10)
        self.runs += len(a_round.ids)
        self.most_rows = max(self.most_rows, TaskRun.objects.count())
        return a_round

    def _read_ledger(self) -> None:
        """Tasks write into a new one from now on; a write under way may still come to the old."""
        old = self.scene.folder / f"ledger-{self.struck}"
        self.scene.ledger.path.rename(old)
        wait_for(lambda: time.time() - old.stat().st_mtime > 0.5, "nobody writes into the old one")
        entries = Ledger(old).entries()
        for a_round in self.rounds:
            a_round.read(entries)
        old.unlink()

    def _settle(self, a_round: Round) -> None:
        """All of its runs have ended, each with one outcome; their rows go."""
        wait_for(lambda: a_round.left() == 0, "a round's runs are successful", PACE.rescue + 60)
        a_round.read(self.scene.ledger.entries())
        assert a_round.ended == a_round.ids
        assert max(a_round.recorded.values()) == 1, "an attempt has two outcomes (I2)"
        most = max(
            TaskRun.objects.filter(id__in=list(a_round.ids)).values_list("attempts", flat=True)
        )
        assert most <= 1 + CRASHES
        TaskRun.objects.filter(id__in=list(a_round.ids)).delete()

    # The faults.

    def kill(self) -> None:
        self.scene.kill(self._mortal.pop(0))
        self._mortal.append(self._begin("mortal"))

    def stop(self) -> None:
        worker = self._mortal.pop(0)
        worker.ask_to_stop()
        self.scene.strikes(f"SIGTERM of {worker.pid}")
        self._mortal.append(self._begin("mortal"))

    def freeze(self) -> None:
        worker = self._mortal[0]
        worker.freeze()
        self.scene.strikes(f"SIGSTOP of {worker.pid}")
        self.scene.lasts(PACE.rescue)
        worker.wake()

    def terminate(self) -> None:
        count = sabotage.terminate_others(but=self._feeding)
        self.scene.strikes(f"{count} connections are terminated")

    def black_hole(self) -> None:
        assert self._proxy is not None
        with self._proxy.black_hole():
            self.scene.strikes("a black hole around the distant worker")
            self.scene.lasts(PACE.rescue)

    def _begin(self, label: str, **environment: str) -> FaultyWorker:
        return self.scene.begin_worker(label, "-v", "0", **environment)


@contextmanager
def proxy_to_the_server() -> Iterator[Proxy]:
    settings = connection.settings_dict
    with Proxy(settings["HOST"], int(settings["PORT"])) as proxy:
        yield proxy


@pytest.mark.fault(37)
def test_37_an_hour_of_load_and_faults(scene: Scene) -> None:
    on_server = connection.vendor != "sqlite"
    with proxy_to_the_server() if on_server else nullcontext() as proxy:
        soak = Soak(scene, proxy)
        scene.throughput = scene.measure()
        soak.run(SECONDS)
        print(*scene.seen, sep="\n")
        assert_invariants(scene, crashes=CRASHES)
        wait_for(
            lambda: not on_server or sabotage.others() == 0, "no connection is left open", SLACK
        )
