"""Two people import the schedules of beat at the same time."""

import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from taskworks.models import Schedule
from taskworks.moving.beat import importing
from taskworks.moving.beat.importing import Imported, Sources, import_schedules

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = [f"schedule {n}" for n in range(5)]


def test_each_schedule_is_there_once(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CELERY_BEAT_SCHEDULE = {
        name: {"task": "tests.celery.tasks.add", "schedule": timedelta(hours=1), "args": (1,)}
        for name in NAMES
    }
    both = threading.Barrier(2)
    draft_of = importing.draft_of

    def draft_when_both_are_there(*given: Any) -> Schedule:
        # On SQLite the other one waits for the transaction, and on any database for a lock.
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return draft_of(*given)

    monkeypatch.setattr(importing, "draft_of", draft_when_both_are_there)
    done: list[Imported] = []
    failed: list[BaseException] = []

    def import_them() -> None:
        try:
            done.append(import_schedules(Sources(settings=True), {}))
        except BaseException as error:
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=import_them) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    assert sorted(Schedule.objects.values_list("label", flat=True)) == NAMES
    results = [{fate.result for fate in one.fates} for one in done]
    assert sorted(results, key=sorted) == [{"added"}, {"unchanged"}]
