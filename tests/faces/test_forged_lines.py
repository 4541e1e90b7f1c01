"""Text that others have written forges no line of a log or a terminal."""

import logging
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from taskworks import TaskContext, task
from taskworks.models import TaskRun
from tests import tasks
from tests.behavior import rewrite, run_worker

pytestmark = pytest.mark.django_db(transaction=True)

FORGED = "x\n2026-01-01 00:00:00 successful shop.pay\x1b[2K\r"


@task
def raise_forged() -> None:
    raise ValueError(FORGED)


@task(takes_context=True)
def say(context: TaskContext, text: str) -> None:
    context.add_message(text)


def printed(*arguments: str) -> str:
    output = StringIO()
    call_command("taskworks", *arguments, stdout=output)
    return output.getvalue()


def assert_is_not_forged(text: str) -> None:
    assert "\x1b" not in text
    assert not any(line.startswith("2026-01-01") for line in text.splitlines())


def test_by_a_path(caplog: pytest.LogCaptureFixture) -> None:
    result = tasks.noop.enqueue()
    rewrite(result, task_path=FORGED, callable_path=FORGED, queue_name=FORGED)
    with caplog.at_level(logging.INFO, "taskworks"):
        assert_is_not_forged(run_worker())
    assert_is_not_forged(caplog.text)
    assert_is_not_forged(printed("list"))
    assert_is_not_forged(printed("show", result.id))
    assert_is_not_forged(printed("status"))


def test_by_a_correlation_id(caplog: pytest.LogCaptureFixture) -> None:
    tasks.noop.using(metadata={"correlation_id": FORGED * 100}).enqueue()
    with caplog.at_level(logging.INFO, "taskworks.runs"):
        run_worker()
    [record] = [r for r in caplog.records if r.name == "taskworks.runs"]
    assert_is_not_forged(record.getMessage())
    assert_is_not_forged(record.correlation_id)  # type: ignore[attr-defined]
    assert len(record.getMessage()) < 1000


def test_by_a_message_or_an_argument() -> None:
    result = say.enqueue(FORGED)
    run_worker()
    assert_is_not_forged(printed("show", result.id))


def test_by_an_exception(caplog: pytest.LogCaptureFixture) -> None:
    result = raise_forged.enqueue()
    run_worker()
    assert "\x1b" not in caplog.text
    assert "\x1b" not in printed("show", result.id)
    with pytest.raises(CommandError) as failed:
        printed("run", raise_forged.module_path, "--wait", "--timeout", "0")
    assert "\x1b" not in str(failed.value)
    assert TaskRun.objects.failed().count() == 1
