"""The steps of a run on its page, in `taskworks show`, and in why it waits."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from taskworks import TaskContext, TaskResult, task
from taskworks.control import why_waiting
from taskworks.models import StepRecord, TaskRun
from tests.behavior import run_worker

pytestmark = pytest.mark.django_db(transaction=True)


@task(takes_context=True)
def approve(context: TaskContext, timeout: float | None, *, sleeps: bool = False) -> None:
    context.step("draft", lambda: {"text": "<b>" + "x" * 1000})
    context.step("nothing", lambda: None)
    context.wait("asked", timeout=0)
    if sleeps:
        context.sleep("cool down", 86_400)
    context.wait("approved", timeout=timeout)


def waiting(timeout: float | None = None, *, sleeps: bool = False) -> TaskResult:
    result = approve.enqueue(timeout, sleeps=sleeps)
    run_worker()
    return result


def shown(result: TaskResult, *arguments: str) -> str:
    output = StringIO()
    call_command("taskworks", "show", result.id, *arguments, stdout=output)
    return output.getvalue()


def test_why_it_waits() -> None:
    assert why_waiting(waiting()) == "It waits for the event 'approved'."
    at = "until "
    assert str(why_waiting(waiting(60))).startswith(f"It waits for the event 'approved', {at}")
    assert str(why_waiting(waiting(sleeps=True))).startswith(f"It sleeps in 'cool down', {at}")


def test_a_failure_between_is_no_wait() -> None:
    result = waiting()
    StepRecord.objects.all().delete()
    run = TaskRun.objects.get(id=result.id)
    TaskRun.objects.update(failures=1, available_at=run.enqueued_at)
    assert str(why_waiting(result)).startswith("It waits for its next attempt, at ")


def test_show() -> None:
    result = waiting(60)
    result.send("early", {"by": "anna"})
    text = shown(result)
    assert "\nsteps\n" in text
    assert "  step 'draft', recorded " in text
    assert "… (1,014 bytes)" in text
    assert "x" * 300 not in text
    assert "  event 'asked', timed out " in text
    assert "  event 'early', sent " in text
    assert "  event 'approved', waiting " in text
    steps = json.loads(shown(result, "--json"))["steps"]
    assert [(step["kind"], step["name"], step["state"]) for step in steps] == [
        ("step", "draft", "recorded"),
        ("step", "nothing", "recorded"),
        ("event", "asked", "timed out"),
        ("event", "early", "sent"),
        ("event", "approved", "waiting"),
    ]
    assert [step["value"] for step in steps[1:4]] == ["null", None, '{"by":"anna"}']


def test_show_of_a_run_without_steps() -> None:
    from tests import tasks

    result = tasks.noop.enqueue()
    assert "steps" not in shown(result)
    assert json.loads(shown(result, "--json"))["steps"] == []


def test_the_page(admin_client: Client) -> None:
    result = waiting(sleeps=True)
    page = admin_client.get(reverse("admin:taskworks_taskrun_change", args=[result.id]))
    text: Any = page.content.decode()
    assert "step &#x27;draft&#x27;, recorded" in text
    assert "&lt;b&gt;" in text
    assert "<b>x" not in text
    assert "sleep &#x27;cool down&#x27;, sleeping, until" in text
    assert "It sleeps in &#x27;cool down&#x27;, until" in text
