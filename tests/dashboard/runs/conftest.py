"""Runs whose columns hold what nobody should see as it is, and pages that show them."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from taskworks.dashboard.runs.list_page import forget_counts
from taskworks.models import RunState, TaskRun
from taskworks.store import store

HOSTILE = "<script>alert(1)</script>\"'\u202e{{ 7|add:7 }}\x07&lt;é"
SECRET = "hunter2-of-the-tests"

EVERYTHING = (
    "view_taskrun",
    "view_arguments",
    "retry_taskrun",
    "cancel_taskrun",
    "delete_taskrun",
    "move_taskrun",
    "run_task",
)


def text_of(response: Any, status: int = 200) -> str:
    text: str = response.content.decode()
    assert response.status_code == status, text
    return text


def make(**columns: Any) -> TaskRun:
    """A stored run, with the columns as they are given."""
    now = store().read_clock()
    state = columns.get("state", RunState.SUCCESSFUL)
    is_over = state in (RunState.SUCCESSFUL, RunState.FAILED, RunState.CANCELLED)
    given = {
        "backend": "default",
        "queue_name": "default",
        "task_path": "tests.tasks.noop",
        "state": state,
        "enqueued_at": now - timedelta(seconds=20),
        "available_at": now - timedelta(seconds=20),
        "last_attempted_at": now - timedelta(seconds=5) if is_over else None,
        "started_at": now - timedelta(seconds=5) if is_over else None,
        "attempts": int(is_over),
        "finished_at": now if is_over else None,
        **columns,
    }
    return TaskRun.objects.create(**given)


def error(attempt: int = 1, **changes: Any) -> dict[str, Any]:
    moment = (store().read_clock() - timedelta(seconds=1)).isoformat()
    return {
        "attempt": attempt,
        "began": moment,
        "at": moment,
        "worker_id": "w1",
        "exception_class_path": "builtins.ValueError",
        "traceback": 'Traceback:\n  File "/srv/shop/x.py", line 1, in pay\n    x\nValueError: no\n',
        **changes,
    }


@pytest.fixture(autouse=True)
def _counted_anew() -> None:
    forget_counts()


@pytest.fixture
def hostile() -> TaskRun:
    """A run with hostile texts in every column that takes one, as its writers let them through."""
    text = HOSTILE
    return make(
        state=RunState.FAILED,
        queue_name=f"q{text}",
        task_path=f"tests.{text}",
        args=[text, {text: text}],
        kwargs={text: [text], "password": SECRET, "deep": [{"api_key": SECRET}]},
        owner=text,
        options={"x": text, "token": SECRET},
        worker_ids=[text],
        limit_name="limit",
        lane=text,
        errors=[
            error(
                exception_class_path=f"shop.{text}",
                worker_id=text,
                release=text,
                traceback=f'  File "/srv/{text}.py", line 1, in x\n    y\nshop.{text}: {text}\n',
            )
        ],
        messages=[{"at": "2026-11-30T12:00:00+00:00", "level": text, "text": text}],
        metadata={
            "correlation_id": text,
            "secret": SECRET,
            "taskworks.schedule": {"id": 1, "label": text, "scheduled_for": "2026-11-30T12:00"},
        },
        progress=3,
        target=10,
    )


NONSENSE = json.dumps({"a": 1})


def pages_of(root: Client, run: TaskRun) -> list[str]:
    """The names of all pages of one run."""
    return ["run", "run_steps", "run_strip", "run_relatives", "run_changed"]
