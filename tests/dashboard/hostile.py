"""Texts that would be more than text if somebody forgot to escape them, wherever they may be."""

from datetime import timedelta
from typing import Any

from taskworks.models import (
    Failure,
    FailureGroup,
    Limit,
    Mark,
    Pause,
    Schedule,
    Statistic,
    TaskRun,
    Worker,
)
from taskworks.models.statistic import MINUTE
from taskworks.models.workflow import Workflow
from taskworks.statistics.compaction import merge
from taskworks.statistics.places import Place, with_wider
from taskworks.statistics.tally import Tally
from taskworks.store import store
from tests import tasks

SCRIPT = "<script>alert(1)</script>"
TEXT = f"{SCRIPT}{{{{ 7|add:7 }}}}{{% now %}}\u202egnp\u0007\"'&é"
LONG = TEXT + "x" * 50_000


def fill() -> TaskRun:
    """Write rows with such texts in every column that takes any; return a failed run."""
    now = store().read_clock()
    short = TEXT[:60]
    run = TaskRun.objects.get(id=tasks.noop.enqueue().id)
    entry = {
        "attempt": 1,
        "at": now.isoformat(),
        "worker_id": TEXT,
        "exception_class_path": TEXT,
        "traceback": LONG,
    }
    TaskRun.objects.filter(id=run.id).update(
        state="failed",
        finished_at=now,
        task_path=TEXT,
        queue_name=short,
        kwargs={TEXT: LONG, "password": "hunter2"},
        args=[TEXT],
        errors=[entry],
        messages=[{"at": now.isoformat(), "text": LONG}],
        metadata={TEXT: TEXT, "token": "hunter2"},
        worker_ids=[TEXT],
    )
    ready = tasks.noop.enqueue()
    TaskRun.objects.filter(id=ready.id).update(queue_name=short, task_path=TEXT)
    worker = Worker(
        label=short, hostname=TEXT, pid=1, queues=[TEXT], release=TEXT, python=TEXT[:30]
    )
    store().register(worker)
    held = tasks.noop.enqueue()
    TaskRun.objects.filter(id=held.id).update(
        state="running", claimed_by=worker.id, task_path=TEXT, last_attempted_at=now
    )
    FailureGroup.objects.create(
        fingerprint="f" * 16,
        task_path=TEXT,
        exception=TEXT,
        place=TEXT,
        message=TEXT,
        sample=run.id,
        first_at=now,
        last_at=now,
        first_release=TEXT,
        last_release=TEXT,
        count=1,
        note=LONG[:9000],
        muted_until=None,
    )
    Failure.objects.create(run=run.id, fingerprint="f" * 16, at=now)
    Pause.objects.create(
        backend="default", kind="queue", name=short, reason=TEXT, by=TEXT, at=now, until=None
    )
    Limit.objects.create(name=short, rate=None, declared={"at_once": TEXT})
    Mark.objects.create(at=now - timedelta(minutes=5), label=TEXT)
    for minutes in (1, 3, 20):
        since = int(now.timestamp()) // MINUTE * MINUTE - MINUTE * minutes
        counted = Statistic(
            successful=5,
            failed=2,
            retried=1,
            wait_sum=3.5,
            run_sum=9.0,
            run_max=4.0,
            waits="-12:3,4:2",
            runs="-3:5,8:2",
        )
        place = Place(MINUTE, since, "default", short, TEXT)
        merge(store(), with_wider({place: Tally.of(counted)}))
    Workflow.objects.create(name=TEXT, backend="default", created_at=now, closed_at=now)
    schedule = Schedule(label=TEXT, path="tests.tasks.noop", cron="@daily")
    schedule.save()
    Schedule.objects.filter(id=schedule.id).update(path=TEXT, error=TEXT, timezone="UTC")
    return TaskRun.objects.get(id=run.id)


def pages() -> dict[str, list[Any]]:
    """Return the pages that show these rows, by name, with the ids in their addresses."""
    run = TaskRun.objects.filter(state="failed").get().id
    return {
        "overview": [],
        "runs": [],
        **{
            name: [run]
            for name in ("run", "run_steps", "run_strip", "run_relatives", "run_changed")
        },
        "failures": [],
        "failure_group": ["f" * 16],
        "queues": [],
        "workers": [],
        "schedules": [],
        "workflows": [],
        "workflow": [Workflow.objects.get().id],
        "limits": [],
    }
