"""What there is to claim, and when there will be more."""

import math
from datetime import timedelta

import pytest

from taskworks.models import TaskRun
from taskworks.store import store
from tests import tasks

pytestmark = pytest.mark.django_db


def test_nothing() -> None:
    assert store().outlook("default") == ([], math.inf)


def test_the_queues_with_something_ready() -> None:
    for queue in ("mail", "default", "mail", "imports"):
        tasks.noop.using(queue_name=queue).enqueue()
    tasks.noop.using(backend="other").enqueue()
    assert store().outlook("default") == (["default", "imports", "mail"], math.inf)
    assert store().outlook("other").queues == ["default"]
    TaskRun.objects.update(state="running")
    assert store().outlook("default").queues == []


@pytest.mark.parametrize("seconds", [3600.0, 2.5, -60.0])
def test_in_how_long_the_next_one_is_due(seconds: float) -> None:
    for later in (0, 86_400):
        tasks.noop.using(run_after=timedelta(seconds=7200 + later)).enqueue()
    run = TaskRun.objects.earliest("available_at")
    now = store().read_clock()
    TaskRun.objects.filter(id=run.id).update(available_at=now + timedelta(seconds=seconds))
    assert store().outlook("default").due_in == pytest.approx(seconds, abs=1)
    assert store().outlook("default").queues == []
