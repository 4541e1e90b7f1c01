"""The scene of a fault: its workers, its runs, what happened when, and what was seen."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from taskworks import Task, TaskResult
from taskworks.models import TaskRun, Worker
from taskworks.models.run import FINISHED
from tests.faults import shelf
from tests.faults.ledger import Entry, Ledger
from tests.faults.workers import FaultyProcess, FaultyWorker
from tests.waiting import wait_for

MEASURED = 100  # runs that are drained to measure how fast it goes


class Gate:
    """A barrier: tasks wait at it until the test opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def open(self) -> None:
        self.path.touch()


@dataclass
class Scene:
    folder: Path
    ledger: Ledger
    workers: list[FaultyWorker] = field(default_factory=list)
    callers: list[FaultyProcess] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)  # ids
    seen: list[str] = field(default_factory=list)
    recovery: float | None = None  # seconds
    replaces: bool = False  # a worker that dies, as a service manager does
    throughput: float = 0.0  # runs a second, before the fault
    _happened: list[tuple[float, str]] = field(default_factory=list)
    _struck: float = 0.0

    # Workers.

    def start(self, *labels: str, measure: bool = True, **environment: str) -> list[FaultyWorker]:
        """Workers with these labels; they work as fast as they can before anything happens."""
        workers = [self.begin_worker(label, **environment) for label in labels]
        for worker in workers:
            worker.wait_until_up()
        if measure:
            self.throughput = median(self.measure() for _ in range(3))
            self.happens(f"throughput is {self.throughput:.0f} runs a second")
        return workers

    def worker(self, label: str, *arguments: str, **environment: str) -> FaultyWorker:
        return self.begin_worker(label, *arguments, **environment).wait_until_up()

    def begin_worker(self, label: str, *arguments: str, **environment: str) -> FaultyWorker:
        """One that is not waited for."""
        log = self.folder / f"{len(self.workers)}-{label}.log"
        worker = FaultyWorker(label, log, self.ledger, arguments, environment)
        self.workers.append(worker)
        self.happens(f"worker {label} starts as process {worker.pid}")
        return worker

    def begin_caller(self, label: str, journal: Path, **environment: str) -> FaultyProcess:
        """A process that enqueues as long as it lives."""
        log = self.folder / f"{len(self.callers)}-{label}.log"
        command = ["-m", "tests.faults.caller", str(journal)]
        caller = FaultyProcess(label, log, self.ledger, command, environment)
        self.callers.append(caller)
        self.happens(f"caller {label} starts as process {caller.pid}")
        return caller

    def _replace_the_dead(self) -> None:
        dead = [worker for worker in self.workers if not worker.is_running]
        for worker in dead if self.replaces else []:
            if not worker.is_expendable:
                worker.is_expendable = True
                self.happens(f"worker {worker.label} has died: {worker.process.returncode}")
                self.begin_worker(worker.label)

    def kill(self, worker: FaultyWorker) -> None:
        worker.kill()
        self.strikes(f"kill -9 of worker {worker.label}")

    # Runs.

    def gate(self, name: str = "gate") -> Gate:
        return Gate(self.folder / name)

    def enqueue(self, task: Task, *args: Any) -> TaskResult:
        result = task.enqueue(*[str(arg) if isinstance(arg, Gate) else arg for arg in args])
        self.accepted.add(result.id)
        return result

    def enqueue_many(self, task: Task, calls: Iterable[tuple[Any, ...]]) -> list[TaskResult]:
        return [self.enqueue(task, *args) for args in calls]

    def accept(self, results: Iterable[TaskResult | TaskRun]) -> None:
        """Runs that were enqueued otherwise, and must not be lost either."""
        self.accepted.update(str(result.id) for result in results)

    def run(self, result: TaskResult | TaskRun) -> TaskRun:
        return TaskRun.objects.get(id=result.id)

    def wait_until(
        self, result: TaskResult | TaskRun, *states: str, timeout: float = 60
    ) -> TaskRun:
        def met() -> bool:
            self._replace_the_dead()
            return self.run(result).state in states

        wait_for(met, f"{result.id} is {states}", timeout)
        return self.run(result)

    def wait_until_all_ended(self, timeout: float = 60) -> None:
        wait_for(lambda: not self.unfinished(), "every accepted run has ended", timeout)

    def unfinished(self) -> int:
        ended = TaskRun.objects.filter(id__in=list(self.accepted), state__in=FINISHED).count()
        return len(self.accepted) - ended

    def wait_for_entries(
        self, count: int, event: str, *results: TaskResult, timeout: float = 60
    ) -> list[Entry]:
        """Until the ledger has so many of a kind, of one run or of all."""
        run = results[0].id if results else None
        wait_for(
            lambda: len(self.ledger.entries(event, run)) >= count,
            f"{count} times {event!r} in the ledger",
            timeout,
        )
        return self.ledger.entries(event, run)

    def living(self) -> int:
        return Worker.objects.living().count()

    # What happens.

    def happens(self, what: str) -> None:
        self._happened.append((time.monotonic(), what))

    def lasts(self, seconds: float) -> None:
        """The fault, for so long."""
        ends = self._struck + seconds
        wait_for(lambda: time.monotonic() > ends, "the fault lasts", seconds + 1)

    def strikes(self, what: str) -> None:
        """The fault begins."""
        self.happens(f"FAULT: {what}")
        self._struck = time.monotonic()

    def ceases(self, what: str) -> None:
        """The fault is over; recovery counts from here."""
        self.happens(f"the fault is over: {what}")
        self._struck = time.monotonic()

    def recovers(self, what: str, at: float | None = None) -> float:
        """Seconds since the fault struck, or was over; ``at`` by the monotonic clock."""
        seconds = (time.monotonic() if at is None else at) - self._struck
        self.recovery = max(seconds, self.recovery or 0.0, 0.0)
        self.happens(f"recovered after {seconds:.2f} s: {what}")
        return seconds

    def sees(self, what: str) -> None:
        """For the table of guarantees."""
        self.seen.append(what)
        self.happens(f"seen: {what}")

    def measure(self, timeout: float = 60, count: int = MEASURED) -> float:
        """Runs a second at which what is enqueued is drained."""
        results = shelf_of_bare(count)
        ids = [result.id for result in results]
        self.accept(results)
        begun = time.monotonic()
        wait_for(
            lambda: TaskRun.objects.successful().filter(id__in=ids).count() == len(ids),
            f"{len(ids)} runs of nothing are drained",
            timeout,
        )
        return len(ids) / (time.monotonic() - begun)

    def timeline(self) -> str:
        """All that is known, in the order in which it happened."""
        began = min([at for at, _ in self._happened], default=time.monotonic())
        ledger = [(entry.at, f"  ledger: {entry}") for entry in self.ledger.entries()[-300:]]
        lines = [f"{at - began:9.3f}  {what}" for at, what in sorted(self._happened + ledger)]
        rows = [f"  {_row(run)}" for run in self._rows()]
        processes = [*self.workers, *self.callers]
        logs = [f"--- {one.label}\n{_tail(one)}" for one in processes[-100:]]
        return "\n".join([*lines, "--- runs that have not ended well", *rows, *logs])

    def _rows(self) -> Iterable[TaskRun]:
        try:
            odd = TaskRun.objects.filter(id__in=list(self.accepted)).exclude(state="successful")
            return list(odd[:20])
        except Exception as error:  # the database may be what has failed
            self.happens(f"the runs cannot be read: {error}")
            return []

    def end(self) -> None:
        for process in [*self.workers, *self.callers]:
            process.end()


def shelf_of_bare(count: int) -> list[TaskResult]:
    return shelf.bare.enqueue_many([{}] * count)


def _row(run: TaskRun) -> str:
    errors = [entry["exception_class_path"] for entry in run.errors]
    return (
        f"{run.id} {run.task_name} {run.state} attempts={run.attempts} failures={run.failures} "
        f"workers={run.worker_ids} errors={errors}"
    )


def _tail(process: FaultyProcess) -> str:
    return "\n".join(process.output.splitlines()[-40:])
