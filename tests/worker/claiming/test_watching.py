"""How soon a worker sees a run that another connection has committed, and what its watch costs."""

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections, transaction

from taskworks.control import pause
from taskworks.duties.scheduler import Scheduler
from taskworks.models import Pause, TaskRun
from taskworks.store import store
from taskworks.store.claiming import Outlook
from taskworks.store.sqlite import SQLiteStore
from taskworks.worker import Queues, Worker
from taskworks.worker.claiming import poll_schedule, watching
from taskworks.worker.claiming.watching import (
    BUSY_GLANCE_INTERVAL,
    GLANCE_INTERVAL,
    LONGEST_GLANCE_INTERVAL,
    QUIET_GLANCE_INTERVAL,
    QUIET_SHARE,
    CommitWatcher,
    GlancePause,
)
from tests import tasks
from tests.connections import elsewhere
from tests.processes import conftest as processes
from tests.settings import DATABASE
from tests.waiting import wait_for
from tests.worker.claiming.idleness import StartWorker, idle, wait_until_executed

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "queue"])
on_sqlite = pytest.mark.skipif(DATABASE != "sqlite", reason="only SQLite shows commits")

ENQUEUE = "import django; django.setup(); from tests import tasks; tasks.noop.enqueue()"


class ObservedStore(SQLiteStore):
    """Counts what a watcher asks, and cuts it off on request."""

    glances = looks = 0
    is_asking = cuts_off = False

    @contextmanager
    def seeing_commits(self) -> Iterator[Callable[[], Any]]:
        with super().seeing_commits() as data_version:

            def observed() -> Any:
                if self.cuts_off:
                    self.cuts_off = False
                    self.connection.connection.close()
                self.glances += 1
                self.is_asking = True
                try:
                    return data_version()
                finally:
                    self.is_asking = False

            yield observed

    def outlook(self, *given: Any) -> Outlook:
        self.looks += 1
        return super().outlook(*given)


class Watch:
    """A watcher, and how often it has woken its worker."""

    def __init__(
        self, alias: str = "default", queues: Queues | None = None, backend: str = "default"
    ) -> None:
        self.store = ObservedStore(alias)
        self.times_woken = 0
        self.watcher = CommitWatcher(self.store, backend, queues or Queues(), self._wake)

    def _wake(self) -> None:
        self.times_woken += 1

    def wait_for_news(self) -> set[str | None]:
        wait_for(lambda: self.times_woken, "it wakes the worker")
        self.times_woken = 0
        return self.watcher.take()

    def wait_for_look(self) -> None:
        """Until a look is over that began after this call, for a reason that is none of ours."""
        for number in range(2):
            before = self.store.looks
            connections[self.store.alias].cursor().execute(f"PRAGMA user_version = {number}")
            wait_for(lambda before=before: self.store.looks > before, "it has looked")


@contextmanager
def watching_for_runs(*arguments: Any) -> Iterator[Watch]:
    watch = Watch(*arguments)
    watch.watcher.start()
    try:
        wait_for(lambda: watch.watcher.works, "it watches")
        yield watch
    finally:
        watch.watcher.stop()


@pytest.fixture
def watch() -> Iterator[Watch]:
    with watching_for_runs() as watch:
        yield watch


@pytest.fixture(params=["wal", "delete", "memory"])
def alias(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A database whose writers keep out everybody else, in this mode of SQLite."""
    in_memory = f"file:{tmp_path.name}?mode=memory&cache=shared"
    name = in_memory if request.param == "memory" else str(tmp_path / "db")
    options = {
        "transaction_mode": "EXCLUSIVE",
        "timeout": 60,
        "init_command": f"PRAGMA journal_mode={request.param}",
    }
    usual = connections["queue"]
    settings = {**usual.settings_dict, "NAME": name, "OPTIONS": options}
    monkeypatch.setitem(connections.settings, "queue", settings)
    connections["queue"] = watched = type(usual)(settings, "queue")
    try:
        with watched.schema_editor() as editor:
            editor.create_model(TaskRun)
            editor.create_model(Pause)
        yield "queue"
    finally:
        watched.close()
        connections["queue"] = usual


def a_run() -> TaskRun:
    return TaskRun.objects.get(id=tasks.noop.enqueue().id)


# Found at once.


def test_an_idle_worker_executes_what_another_process_enqueues(
    start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    if DATABASE in ("postgresql", "sqlite"):
        idle(start_worker())
    else:
        monkeypatch.setattr(poll_schedule, "ACTIVE_FOR", 0.0)  # as if the last work was long ago
        worker = start_worker(interval=1.0)
        wait_for(lambda: worker._intake._poll_schedule._pause == 1.0, "it looks rarely")
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", **processes.test_database()}
    subprocess.run(
        [sys.executable, "-c", ENQUEUE],
        cwd=processes.ROOT,
        env={**os.environ, **environment},
        check=True,
    )
    run = TaskRun.objects.get()
    wait_for(lambda: TaskRun.objects.successful().filter(id=run.id).exists(), "it was executed")


@on_sqlite
def test_an_idle_worker_is_woken_for_what_becomes_due(start_worker: StartWorker) -> None:
    idle(start_worker())
    wait_until_executed(tasks.noop.using(run_after=timedelta(seconds=0.5)).enqueue())


@on_sqlite
def test_a_watcher_wakes_for_what_was_ready_before() -> None:
    tasks.noop.enqueue()
    with watching_for_runs() as watch:
        assert watch.wait_for_news() == {"default"}


@on_sqlite
def test_a_run_is_seen_once_its_writer_has_committed(alias: str) -> None:
    run = a_run()
    with watching_for_runs(alias) as watch:
        with transaction.atomic(using=alias):
            run.save(using=alias, force_insert=True)
            store, before = watch.store, watch.store.glances
            # If readers have to wait for the lock, it may have begun to ask a moment ago.
            wait_for(lambda: store.is_asking or store.glances > before, "it asks meanwhile")
        wait_for(lambda: watch.times_woken, "it wakes the worker")
        wait_for(lambda: watch.watcher.works, "it has not given up")
    assert "default" in watch.watcher.take()


# When the worker is woken, and when not.


@on_sqlite
def test_what_is_rolled_back_wakes_nobody(alias: str) -> None:
    run = a_run()
    with watching_for_runs(alias) as watch:
        with transaction.atomic(using=alias):
            run.save(using=alias, force_insert=True)
            transaction.set_rollback(True, using=alias)
        watch.wait_for_look()
        assert watch.times_woken == 0


@on_sqlite
def test_only_a_run_that_the_worker_may_claim_wakes_it() -> None:
    with watching_for_runs("default", Queues(("mail",))) as watch:
        tasks.noop.enqueue()
        tasks.send_mail.using(backend="other").enqueue("you")
        watch.wait_for_look()
        assert watch.times_woken == 0
        tasks.send_mail.enqueue("you")
        assert watch.wait_for_news() == {"mail"}


@on_sqlite
@pytest.mark.parametrize("number", [0, 7])
def test_a_part_of_many_queues_is_enough_to_wake_the_worker(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whatever comes first may be paused, or of no concern."""
    monkeypatch.setattr(SQLiteStore, "max_queues", 3)
    names = [f"tenant-{number}" for number in range(10)]
    for name in names:
        tasks.noop.using(backend="other", queue_name=name).enqueue()
    excluded = names[: number // 2]
    watch = Watch("default", Queues(excluded=frozenset(excluded)), "other")
    for name in names[len(excluded) : number]:
        pause(name, backend="other")
    watch.watcher._look()
    assert watch.watcher.take() == {None}  # there is more than it has seen
    assert watch.store.looks == number // 3 + 1
    TaskRun.objects.exclude(queue_name__in=[*names[:number], names[8]]).delete()
    watch.watcher._look()
    assert watch.watcher.take() == {"tenant-8"}


@on_sqlite
def test_many_queues_of_others_wake_nobody_and_are_looked_at_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Clock(monkeypatch)
    monkeypatch.setattr(SQLiteStore, "max_queues", 3)
    for number in range(7):
        tasks.noop.using(backend="other", queue_name=f"tenant-{number}").enqueue()
    watch = Watch("default", Queues(("mail",)), "other")
    watch.watcher._is_due_sooner(math.inf)
    for _ in range(10):
        watch.watcher._look()
    assert watch.times_woken == 0
    assert watch.watcher._pause.seconds == LONGEST_GLANCE_INTERVAL


@on_sqlite
def test_only_a_run_that_is_due_sooner_wakes_the_worker(watch: Watch) -> None:
    for minutes, wakes in ((60, True), (90, False), (30, True)):
        tasks.noop.using(run_after=timedelta(minutes=minutes)).enqueue()
        if wakes:
            assert watch.wait_for_news() == {None}
        watch.wait_for_look()
        assert watch.times_woken == 0


@on_sqlite
def test_a_moment_that_has_passed_is_known_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    watcher = Watch().watcher
    assert [watcher._is_due_sooner(seconds) for seconds in (3, 3, 5, 1)] == [
        True,
        False,
        False,
        True,
    ]
    clock.now += 2
    assert watcher._is_due_sooner(5)  # another one, after that of a moment ago


@on_sqlite
def test_a_schedule_is_looked_for_as_often_as_before(idle_worker: Worker) -> None:
    [scheduler] = [thread for thread in idle_worker._threads.all if isinstance(thread, Scheduler)]
    assert not scheduler._is_notified()  # nobody tells of schedules here


# When the connection is lost.


@on_sqlite
def test_a_watcher_that_is_cut_off_wakes_the_worker_and_watches_again(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        watch.store.cuts_off = True
        assert None in watch.wait_for_news()  # and so it polls meanwhile
        wait_for(lambda: watch.watcher.works, "it watches again")
        tasks.noop.enqueue()
        wait_for(lambda: "default" in watch.wait_for_news(), "it sees the run")
        TaskRun.objects.all().delete()
        watch.wait_for_look()
        watch.watcher.take()
        watch.times_woken = 0
    assert caplog.text.count("Database error while watching for new runs") == 1
    assert "The database answers again: watching for new runs." in caplog.text


# What it costs.


@on_sqlite
def test_who_asks_for_commits_holds_no_lock_and_does_not_see_its_own(alias: str) -> None:
    run = a_run()
    mine, other = connections[alias], connections[alias].copy()
    mine.cursor().execute("PRAGMA busy_timeout = 0")
    with store(alias).seeing_commits() as data_version:
        first = data_version()
        assert data_version() == first
        other.cursor().execute("BEGIN EXCLUSIVE")  # which waits for every reader
        other.cursor().execute("PRAGMA user_version = 7")
        other.cursor().execute("COMMIT")
        second = data_version()
        assert second != first
        run.save(using=alias, force_insert=True)
        assert data_version() == second
    other.close()


@on_sqlite
def test_a_watcher_looks_once_per_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch()

    def commit_now_and_then() -> None:
        if len(clock.slept) % 20 == 0:
            elsewhere(tasks.noop.enqueue)
        watch.watcher.is_stopping = len(clock.slept) == 100

    clock = Clock(monkeypatch, commit_now_and_then)
    with watch.store.seeing_commits() as data_version:
        watch.watcher._watch(data_version)
    assert (watch.store.glances, watch.store.looks) == (100, 5)  # the first, and of four commits


@on_sqlite
def test_a_watcher_asks_nothing_while_the_worker_is_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Watch()
    watch.watcher.take()

    def work() -> None:
        watch.watcher.take()
        watch.watcher.is_stopping = clock.now > 10

    clock = Clock(monkeypatch, work)
    with watch.store.seeing_commits() as data_version:
        watch.watcher._watch(data_version)
    assert watch.store.glances == 0
    assert set(clock.slept) == {BUSY_GLANCE_INTERVAL}


@on_sqlite
def test_a_watcher_glances_the_less_often_the_longer_it_is_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    pause = GlancePause()
    assert pause.seconds == QUIET_GLANCE_INTERVAL
    pause.note(has_news=True)
    assert pause.seconds == GLANCE_INTERVAL
    clock.now += 3
    assert pause.seconds == pytest.approx(3 * QUIET_SHARE)
    clock.now += 3600
    assert pause.seconds == QUIET_GLANCE_INTERVAL
    pause.note(has_news=False)
    pause.note(has_news=True)
    assert pause.seconds == GLANCE_INTERVAL


@on_sqlite
def test_a_watcher_looks_rarely_while_the_worker_leaves_what_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Clock(monkeypatch)
    pause = GlancePause()
    pauses = []
    for _ in range(10):
        pause.note(has_news=True)
        pauses.append(pause.seconds)
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_GLANCE_INTERVAL
    pause.note(has_news=False)
    assert pause.seconds == GLANCE_INTERVAL


class Clock:
    """The watcher's clock, which goes on while it sleeps; ``meanwhile`` is what happens then."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        self.now, self.slept, self._meanwhile = 0.0, [], meanwhile
        own = SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep)
        monkeypatch.setattr(watching, "time", own)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)
        self._meanwhile()
