"""What schedules leave behind goes, once nobody can ask for it any more."""

from datetime import timedelta

import pytest

from taskworks.duties import tidy
from taskworks.duties.tidy import Tidying
from taskworks.models import Firing, Schedule, TaskRun
from taskworks.store import store
from taskworks.testing.moving_clock import clock
from tests.schedules.firing import HOUR, fire_all, scheduled

pytestmark = pytest.mark.django_db


def test_a_firing_goes_when_its_run_has_and_a_day_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidy, "CHUNK", 2)
    with clock() as now:
        schedule = scheduled(catch_up=5)
        now.advance(5 * HOUR)
        fire_all()
        assert schedule.firings.count() >= 5
        kept = schedule.firings.order_by("id")[3]
        TaskRun.objects.exclude(id=kept.run).delete()
        tidy.tidy(store())
        assert schedule.firings.count() >= 5
        now.advance(days=1)
        tidy.tidy(store())
        assert [firing.pk for firing in Firing.objects.all()] == [kept.pk]


def test_what_is_kept_is_not_looked_at_again_for_an_hour() -> None:
    tidying = Tidying(store())
    while tidying.step():
        pass
    assert not tidying.step()
    assert tidying._again_at > 0


def test_a_schedule_that_is_used_up_goes_with_its_last_firing() -> None:
    with clock() as now:
        for label, declared in (("made", None), ("declared", {"cron": "0 * * * *"})):
            scheduled(label=label, iterations=1, declared=declared, wait_for_schedule=False)
        disabled = scheduled(label="disabled")
        disabled.enabled = False
        disabled.save()
        fire_all()
        now.advance(tidy.KEEP_FINISHED_SCHEDULES + timedelta(days=1))
        tidy.tidy(store())
        assert Schedule.objects.count() == 3
        TaskRun.objects.all().delete()
        tidy.tidy(store())
        assert {*Schedule.objects.values_list("label", flat=True)} == {"declared", "disabled"}
