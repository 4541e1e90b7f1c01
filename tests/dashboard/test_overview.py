"""The first page."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from taskworks.models import TaskRun, Worker
from tests.dashboard.conftest import forget_everything, place
from tests.faces.conftest import MakeRun

pytestmark = [pytest.mark.django_db, pytest.mark.thorough_on_servers]


def text_of(response: Any) -> str:
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def test_it_says_what_is_wrong_first(root: Client, make_run: MakeRun, worker: Worker) -> None:
    assert "Nothing is wrong." in text_of(root.get(place("overview")))
    run = make_run()
    TaskRun.objects.filter(id=run.id).update(
        queue_name="nobody", available_at=run.available_at - timedelta(minutes=5)
    )
    Worker.objects.update(queues=["mail"])
    forget_everything()
    text = text_of(root.get(place("overview")))
    assert "nobody" in text
    assert "no living worker takes it" in text
    assert text.index("no living worker takes it") < text.index("In hand")
