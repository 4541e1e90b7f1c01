"""Taskworks on other admin sites than the default one: each links to its own pages."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import path

from taskworks.admin import ScheduleAdmin, TaskRunAdmin
from taskworks.models import Schedule, TaskRun
from tests.schedules.firing import HOUR, fire_all, scheduled

pytestmark = [pytest.mark.thorough_on_servers, pytest.mark.django_db]


def site(name: str, *models: Any) -> admin.AdminSite:
    made = admin.AdminSite(name=name)
    for model in models:
        made.register(model, TaskRunAdmin if model is TaskRun else ScheduleAdmin)
    return made


BOTH, RUNS, SCHEDULES = (
    site("both", TaskRun, Schedule),
    site("runs", TaskRun),
    site("schedules", Schedule),
)
ADDRESSES = [
    path("both/", BOTH.urls),
    path("runs/", RUNS.urls),
    path("schedules/", SCHEDULES.urls),
]


@pytest.fixture
def fired() -> tuple[Schedule, TaskRun]:
    schedule = scheduled("tests.schedules.bell.noop")
    schedule.next_run -= 2 * HOUR
    schedule.save()
    fire_all()
    return schedule, TaskRun.objects.order_by("id")[0]


@pytest.fixture(params=["with the default site", "without it", "before it"])
def client(request: Any, client: Client, settings: Any) -> Client:
    default = [path("admin/", admin.site.urls)]
    settings.ROOT_URLCONF = tuple(
        {
            "with the default site": [*default, *ADDRESSES],
            "without it": ADDRESSES,
            "before it": [*ADDRESSES, *default],
        }[request.param]
    )
    client.force_login(User.objects.create_superuser("root"))
    return client


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def test_a_run_links_to_its_schedule_on_the_same_site(
    client: Client, fired: tuple[Schedule, TaskRun]
) -> None:
    schedule, run = fired
    on_both = page(client, f"/both/taskworks/taskrun/{run.id}/change/")
    assert f'href="/both/taskworks/schedule/{schedule.pk}/change/"' in on_both
    alone = page(client, f"/runs/taskworks/taskrun/{run.id}/change/")
    assert "bell, for " in alone
    assert f"/taskworks/schedule/{schedule.pk}/" not in alone


def test_a_schedule_links_to_its_runs_on_the_same_site(
    client: Client, fired: tuple[Schedule, TaskRun]
) -> None:
    schedule, run = fired
    on_both = page(client, f"/both/taskworks/schedule/{schedule.pk}/change/")
    assert f'href="/both/taskworks/taskrun/{run.id}/change/"' in on_both
    alone = page(client, f"/schedules/taskworks/schedule/{schedule.pk}/change/")
    assert f"{run.id}, Ready" in alone
    assert f"/taskworks/taskrun/{run.id}/" not in alone
