"""A site with the dashboard, and people who may do something on it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from taskworks.dashboard.databases_shown import known_faults
from taskworks.dashboard.history import forget_history
from taskworks.dashboard.queue_lines import forget_depths
from taskworks.dashboard.snapshot import forget_snapshot
from tests.faces.conftest import failed_run, make_run, patience, worker

__all__ = ["failed_run", "make_run", "patience", "worker"]

SignIn = Callable[..., Client]


def place(name: str, *ids: Any) -> str:
    return reverse(f"taskworks_dashboard:{name}", args=ids)


@pytest.fixture(autouse=True)
def _site(settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = "tests.dashboard.urls"
    forget_everything()
    yield
    forget_everything()


def forget_everything() -> None:
    """What pages of this process have read, which a test may have changed."""
    forget_snapshot()
    forget_history()
    forget_depths()
    known_faults.clear()


@pytest.fixture
def sign_in() -> SignIn:
    """``sign_in("view_taskrun", ...)``: a client of a member of the staff who may do that."""

    def sign_in(*permissions: str, is_staff: bool = True) -> Client:
        user = User.objects.create_user(f"u{User.objects.count()}", is_staff=is_staff)
        found = Permission.objects.filter(
            codename__in=permissions, content_type__app_label="taskworks"
        )
        assert {one.codename for one in found} == {*permissions}
        user.user_permissions.set(found)
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def root() -> Client:
    """A client of somebody who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client
