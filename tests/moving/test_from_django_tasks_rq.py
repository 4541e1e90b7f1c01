"""``manage.py taskworks move --from django-tasks-rq``, with the real package and a real Redis."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from taskworks.models import TaskRun
from taskworks.moving import move as moving
from taskworks.moving import run_id_of_job
from taskworks.moving.django_tasks_rq import DjangoTasksRQ
from taskworks.task_copies import unvalidated_copy
from tests import tasks
from tests.behavior import DATABASE_BACKEND, run_worker
from tests.connections import begin_elsewhere
from tests.databases import PREFIX
from tests.moving import counts, refusal, required, taskworks
from tests.moving.killed import ROOT, move_and_be_killed
from tests.processes.conftest import test_database as environment
from tests.settings import DATABASE
from tests.waiting import wait_for

django_tasks_rq = required("django_tasks_rq")

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough_on_servers]
REDIS = os.environ.get("TASKWORKS_TEST_REDIS", "redis://127.0.0.1:6379/13")
QUEUE, HIGH = f"{PREFIX}-{DATABASE}-low", f"{PREFIX}-{DATABASE}-high"
MOVE = ("move", "--from", "django-tasks-rq", "--backend", "other")
HERE = "taskworks.moving.django_tasks_rq.DjangoTasksRQ"
BEFORE = {
    "DJANGO_SETTINGS_MODULE": "tests.moving.before",
    "MOVING_BACKEND": "django_tasks_rq.RQBackend",
    "MOVING_QUEUE": QUEUE,
    "MOVING_REDIS": REDIS,
}


@pytest.fixture(autouse=True)
def _queues(settings: Any) -> Iterator[None]:
    """Queues that are this run's alone."""
    import django_rq
    from redis import Redis
    from redis.exceptions import ConnectionError as Unreachable

    try:
        Redis.from_url(REDIS).ping()
    except Unreachable:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"there is no Redis at {REDIS}; TASKWORKS_TEST_REDIS names another")
    settings.RQ_QUEUES = {name: {"URL": REDIS} for name in (QUEUE, HIGH)}
    yield
    settings.RQ_QUEUES = {name: {"URL": REDIS} for name in (QUEUE, HIGH)}
    for name in (QUEUE, HIGH):
        left = django_rq.get_queue(name)
        for key in [*left.scheduled_job_registry.get_job_ids(), *aside(left)]:
            left.connection.delete(f"rq:job:{key}")
        left.connection.delete(
            left.scheduled_job_registry.key,
            left.finished_job_registry.key,
            f"taskworks:moving:{name}",
        )
        left.delete(delete_jobs=True)


def queue(name: str = QUEUE) -> Any:
    import django_rq

    return django_rq.get_queue(name)


def aside(of: Any) -> list[str]:
    """The jobs that were put aside."""
    return [key.decode() for key in of.connection.hkeys(f"taskworks:moving:{of.name}")]


def jobs_left() -> int:
    """How many jobs there are, wherever they wait."""
    return sum(
        len(of.get_job_ids()) + len(of.scheduled_job_registry.get_job_ids()) + len(aside(of))
        for of in (queue(QUEUE), queue(HIGH))
    )


def enqueued_there(task: Any, *args: Any, name: str = QUEUE, run_after: Any = None) -> str:
    """Have the package enqueue a job; return its id."""
    backend = django_tasks_rq.RQBackend("default", {"QUEUES": []})
    task = unvalidated_copy(task, queue_name=name, run_after=run_after)
    id_: str = backend.enqueue(task, args, {}).id
    return id_


def dumped() -> dict[bytes, Any]:
    """What is in Redis of this run's queues and jobs, as it is stored there."""
    redis, waiting = queue().connection, []
    for of in (queue(QUEUE), queue(HIGH)):
        waiting += [*of.get_job_ids(), *of.scheduled_job_registry.get_job_ids(), *aside(of)]
    keys = [*redis.keys(f"*{PREFIX}-{DATABASE}-*"), *(f"rq:job:{id_}".encode() for id_ in waiting)]
    return {key: redis.dump(key) for key in keys}


def test_a_job_becomes_a_run() -> None:
    id_ = enqueued_there(tasks.add, 1, 2)
    job = queue().fetch_job(id_)
    assert taskworks(*MOVE).splitlines() == [
        "TASK             MOVED  LEFT",
        "tests.tasks.add  1      0",
    ]
    assert (jobs_left(), queue().fetch_job(id_)) == (0, None)
    run = TaskRun.objects.get()
    assert (run.id, run.backend, run.queue_name) == (run_id_of_job(id_), "other", QUEUE)
    assert (run.args, run.kwargs, run.state) == ([1, 2], {}, "ready")
    assert (run.run_after, run.enqueued_at) == (None, job.enqueued_at)
    run_worker("--backend", "other")
    assert TaskRun.objects.get().return_value == 3
    assert taskworks(*MOVE) == "Nothing waits in django-tasks-rq for the backend 'default'.\n"


def test_a_job_waits_for_its_time() -> None:
    due = timezone.now().replace(microsecond=0) + timedelta(hours=1)
    enqueued_there(tasks.noop, run_after=due)
    enqueued_there(tasks.noop, run_after=due - timedelta(hours=2))
    taskworks(*MOVE)
    later, earlier = TaskRun.objects.order_by("-run_after")
    assert (later.state, later.run_after) == ("scheduled", due)
    assert (earlier.state, earlier.run_after) == ("ready", due - timedelta(hours=2))
    assert jobs_left() == 0


def test_jobs_keep_their_order(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    for index in range(5):
        enqueued_there(tasks.note, str(ledger), str(index), name=(QUEUE, HIGH)[index % 2])
    taskworks(*MOVE)
    run_worker("--backend", "other", "--threads", "1")
    assert ledger.read_text().split() == ["0", "1", "2", "3", "4"]


def test_a_dry_run_changes_nothing() -> None:
    enqueued_there(tasks.add, 1, 2)
    enqueued_there(tasks.noop, run_after=timezone.now() + timedelta(hours=1))
    enqueued_there(tasks.add, 1)
    before = dumped()
    printed = taskworks(*MOVE, "--dry-run").splitlines()
    assert dumped() == before
    assert not TaskRun.objects.exists()
    moved = taskworks(*MOVE).splitlines()
    assert [line.split() for line in printed[1:3]] == [line.split() for line in moved[1:3]]
    assert printed[3:5] == moved[3:5]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (("absent.tasks.x", None, (), {}), "It cannot be imported: ModuleNotFoundError: No module"),
        (("tests.tasks.add", None, (1,), {}), "The arguments do not fit the task: missing"),
        (("tests.tasks.echo", None, (b"x",), {}), "args[0]"),
        (("tests.tasks.echo", None, (timezone.now(),), {}), "args[0]"),
        (("tests.tasks.echo", None, 5, {}), "The job is not one of django-tasks-rq: 'tests."),
        ((None, None, (), {}), "The job is not one of django-tasks-rq: None."),
        (5, "The job cannot be read: TypeError: "),
    ],
)
def test_what_does_not_fit_is_left(data: Any, reason: str) -> None:
    enqueued_there(tasks.noop)
    bad = enqueued_there(tasks.noop)
    job = queue().fetch_job(bad)
    job.data = pickle.dumps(data)
    job.save()
    before = {key: value for key, value in dumped().items() if bad in str(key)}
    *_, about, ids, end = taskworks(*MOVE).splitlines()
    assert reason in about
    assert (ids.strip(), end) == (bad, "1: Left 1 run in django-tasks-rq.")
    assert {key: value for key, value in dumped().items() if bad in str(key)} == before
    assert queue().get_job_ids() == [bad]
    assert TaskRun.objects.count() == 1


@pytest.mark.parametrize("field", ["status", "created_at", "meta", "data"])
def test_a_malformed_job_does_not_stop_others(field: str) -> None:
    bad = enqueued_there(tasks.noop)
    enqueued_there(tasks.add, 1, 2)
    queue().connection.hset(f"rq:job:{bad}", field, b"\xffnonsense")
    taskworks(*MOVE)
    assert TaskRun.objects.get().task_path == "tests.tasks.add"
    assert queue().get_job_ids() == [bad]


def test_what_is_not_of_this_backend_stays() -> None:
    queue().enqueue(print, 5)
    theirs = django_tasks_rq.RQBackend("mails", {"QUEUES": []})
    theirs.enqueue(unvalidated_copy(tasks.noop, queue_name=QUEUE), [], {})
    assert taskworks(*MOVE).splitlines() == [
        "Nothing waits in django-tasks-rq for the backend 'default'.",
        "1 more of the backend 'mails': use --from-backend mails.",
        "1 more: not enqueued by django-tasks-rq.",
    ]
    assert counts(*MOVE, "--from-backend", "mails") == {"tests.tasks.noop": (1, 0)}


def test_what_a_worker_has_stays() -> None:
    enqueued_there(tasks.noop)
    of = queue()
    assert type(of).lmove(of.connection, of.key, None)
    assert taskworks(*MOVE).splitlines()[1:] == [
        "1 more is being executed by workers of RQ, or was when these died."
    ]
    of.connection.delete(of.intermediate_queue_key)


def test_queues_and_a_number_may_be_chosen() -> None:
    for _ in range(3):
        enqueued_there(tasks.noop)
        enqueued_there(tasks.add, 1, 2, name=HIGH)
    assert counts(*MOVE, "--queues", HIGH, "--limit", "2") == {"tests.tasks.add": (2, 0)}
    assert counts(*MOVE) == {"tests.tasks.add": (1, 0), "tests.tasks.noop": (3, 0)}


# Races and deaths


def test_a_job_that_a_worker_takes_is_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        enqueued_there(tasks.noop)
    taken: list[str] = []
    holding = DjangoTasksRQ.holding

    def after_a_worker(self: DjangoTasksRQ, found: Any) -> Any:
        taken.append(queue().pop_job_id())
        return holding(self, found)

    monkeypatch.setattr(DjangoTasksRQ, "holding", after_a_worker)
    assert counts(*MOVE) == {"tests.tasks.noop": (2, 0)}
    assert run_id_of_job(taken[0]) not in TaskRun.objects.values_list("id", flat=True)
    assert queue().fetch_job(taken[0]) is not None


def test_two_at_once_move_each_job_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "AT_A_TIME", 3)
    ids = {run_id_of_job(enqueued_there(tasks.noop)) for _ in range(30)}
    both = [begin_elsewhere(lambda: counts(*MOVE)) for _ in range(2)]
    for one in both:
        one.result(60)
    assert {*TaskRun.objects.values_list("id", flat=True)} == ids
    assert TaskRun.objects.count() == 30
    assert jobs_left() == 0


@pytest.mark.parametrize(
    ("place", "stored"),
    [
        ("taskworks.moving.django_tasks_rq._hold", 2),
        ("taskworks.store.verbs.Store.take_over", 4),
        (f"{HERE}.remove", 4),
    ],
)
@pytest.mark.not_every_day
def test_it_goes_on_after_it_was_killed(place: str, stored: int) -> None:
    now = timezone.now()
    due = [None, None, None, now + timedelta(hours=1), now + timedelta(hours=2)]
    ids = {run_id_of_job(enqueued_there(tasks.noop, run_after=at)) for at in due}
    move_and_be_killed(
        place, 2, *MOVE, **environment(), **BEFORE | {"MOVING_BACKEND": DATABASE_BACKEND}
    )
    assert TaskRun.objects.count() == stored
    work_there()
    run_worker("--backend", "other")
    counts(*MOVE)
    assert {*TaskRun.objects.values_list("id", flat=True)} == ids
    assert TaskRun.objects.count() == 5
    assert TaskRun.objects.filter(state="scheduled").count() == 2
    assert jobs_left() == 0


def work_there() -> None:
    """Have a worker of RQ do what it finds."""
    from rq import SimpleWorker

    SimpleWorker([queue()], connection=queue().connection, job_class=django_tasks_rq.Job).work(
        burst=True
    )


@pytest.mark.not_every_day
def test_an_old_worker_and_a_move_share_the_work(tmp_path: Path) -> None:
    """The whole way: the old project enqueues, and its worker lives while the jobs are moved."""
    ledger, number = tmp_path / "ledger", 40
    before = {**os.environ, **environment(), **BEFORE}
    enqueue = [sys.executable, "-m", "tests.moving.before", str(ledger), str(number)]
    subprocess.run(enqueue, cwd=ROOT, env=before, check=True, timeout=120)
    command = [sys.executable, "manage.py", "rqworker", "--burst", QUEUE]
    worker = subprocess.Popen(
        [*command, "--job-class", "django_tasks_rq.Job"],
        cwd=ROOT,
        env=before,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(ledger.exists, "the old worker has begun")
        taskworks(*MOVE)
        assert worker.wait(120) == 0, worker.stderr and worker.stderr.read()
    finally:
        worker.kill()
        worker.communicate()
    run_worker("--backend", "other")
    assert sorted(map(int, ledger.read_text().split())) == [*range(number)]
    assert TaskRun.objects.filter(state="successful").exists()


# Bad input


def test_rq_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "django_rq", None)
    code, sentence = refusal(*MOVE)
    assert code == 2
    assert sentence.startswith(
        "The jobs of django-tasks-rq can only be read while django-rq is installed. ("
    )


def test_the_queues_must_be_in_the_settings(settings: Any) -> None:
    del settings.RQ_QUEUES
    code, sentence = refusal(*MOVE)
    assert code == 2
    assert sentence.startswith("The queues of django-tasks-rq are read from RQ_QUEUES. Keep this")


def test_a_queue_must_be_known() -> None:
    assert refusal(*MOVE, "--queues", f"{QUEUE}x") == (
        2,
        f"RQ_QUEUES has no queue '{QUEUE}x'. Did you mean {QUEUE!r}?",
    )


def test_redis_must_answer(settings: Any) -> None:
    settings.RQ_QUEUES = {QUEUE: {"URL": "redis://127.0.0.1:1/0"}}
    code, sentence = refusal(*MOVE)
    assert code == 1
    assert sentence.startswith("Moving from django-tasks-rq was interrupted: Error 111 connecting")


def test_running_jobs_are_left_to_rq() -> None:
    assert refusal(*MOVE, "--include-running") == (
        2,
        "--include-running requires --from django-tasks-db.",
    )
