"""The first database is one that has runs, also if the default backend stores none."""

from typing import Any

import pytest
from django.test import Client

from taskworks import control
from taskworks.backends.shards import databases
from taskworks.database import shards
from taskworks.models import Firing, Limit, Schedule
from taskworks.schedules import cron
from taskworks.schedules.firing import fire_now
from taskworks.store import alias_for, store_alias
from tests import tasks
from tests.behavior import run_worker
from tests.schedules.firing import scheduled
from tests.settings import TASKS
from tests.shards.backends import OF_THE_SHARD, SHARD

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", SHARD])

IMMEDIATE = TASKS["immediate"]


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    """No backend has its runs where routers say."""
    settings.TASKS = {"default": IMMEDIATE, "bulk": OF_THE_SHARD}


def test_is_the_same_for_all_that_ask() -> None:
    assert databases() == [SHARD]
    assert store_alias() == alias_for("default") == alias_for("bulk") == SHARD


def test_is_that_of_the_routers_if_a_backend_is_there(settings: Any) -> None:
    settings.TASKS = {**settings.TASKS, "other": TASKS["other"]}
    assert databases() == ["default", SHARD]
    assert store_alias() == alias_for("default") == alias_for("other") == "default"


def test_has_the_schedules_of_backends_that_store_no_runs() -> None:
    schedule = scheduled(tasks.noop)
    assert Schedule.objects.using(SHARD).get() == schedule
    assert fire_now(schedule).status == "SUCCESSFUL"
    assert Firing.objects.using(SHARD).get().run is None


@pytest.mark.usefixtures("no_other_declarations")
def test_has_what_they_declare() -> None:
    cron("@daily", label="at once")(tasks.noop)
    run_worker("--backend", "bulk")
    assert Schedule.objects.using(SHARD).get().label == "at once"


def test_has_limits_and_pauses(settings: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "LIMITS": {"narrow": {"total": 1}}}
    run_worker("--backend", "bulk")
    control.change_limit("narrow", total=5)
    assert Limit.objects.using(SHARD).get(name="narrow").in_force["total"] == 5
    control.pause(task=tasks.noop)
    assert [pause._state.db for pause in control.pauses()] == [SHARD]


def test_is_that_of_the_admin(root: Client, settings: Any) -> None:
    settings.TASKS = {
        **settings.TASKS,
        "more": {**OF_THE_SHARD, "OPTIONS": {"DATABASE": "default"}},
    }
    result = tasks.noop.using(backend="bulk").enqueue()
    page = root.get("/admin/taskworks/taskrun/").content.decode()
    assert f"This list is that of the database {SHARD}." in page
    assert result.id in page


def test_the_option_says_nothing_of_a_backend_that_stores_no_runs(settings: Any) -> None:
    at_once = {**OF_THE_SHARD, "BACKEND": IMMEDIATE["BACKEND"]}
    settings.TASKS = {**TASKS, "bulk": at_once}
    assert (shards.named(), shards.database_of("bulk")) == (set(), None)
    assert scheduled(tasks.noop, options={"backend": "bulk"})._state.db == "default"
