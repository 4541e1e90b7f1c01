"""What a task logs is kept with its run, if the settings say so, and never too much of it."""

import json
import logging
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from taskworks import Task, TaskResult
from taskworks.captured_logs import RunLogHandler, keeping_lines
from taskworks.log_lines import (
    MAX_BYTES,
    MAX_LINES,
    lines_of,
    messages_of,
    with_lines,
    with_message,
)
from taskworks.logs import is_read
from taskworks.models import TaskRun
from taskworks.rest.serializers import TaskRunSerializer, run_as_json
from tests import capturing_settings
from tests.behavior import Settings, captured, executed, run_of, run_worker

Entry = dict[str, Any]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def capturing(settings: Settings) -> None:
    settings.TASKWORKS = capturing_settings.TASKWORKS


def kept(result: TaskResult) -> list[tuple[Any, ...]]:
    lines = lines_of(run_of(result).messages)
    return [(line["attempt"], line["level"], line["logger"], line["text"]) for line in lines]


def texts(task: Task) -> list[str]:
    return [text for *_, text in kept(executed(task.enqueue()))]


SAID = [
    (1, "warning", "tests.captured", "One of 2."),
    (1, "error", "tests.captured", "Two\nof \x1b[31m<b>2</b>.\nKeyError: 'x'"),
]


@pytest.mark.usefixtures("capturing")
def test_lines_are_kept_and_told_apart_from_messages() -> None:
    result = executed(captured.say.enqueue())
    assert kept(result) == SAID
    assert [message.text for message in result.messages] == ["For people."]


def test_by_default_nothing_is_kept_and_nothing_more_is_written() -> None:
    def statements(task: Task) -> int:
        task.enqueue()
        with CaptureQueriesContext(connection) as queries:
            run_worker()
        return len([q for q in queries if '"messages" =' in q["sql"].replace("`", '"')])

    assert statements(captured.say_in_a_loop) == statements(captured.say_in_threads)
    assert not any(run.messages for run in TaskRun.objects.all())


@pytest.mark.usefixtures("capturing")
@pytest.mark.any_database
def test_threads_and_coroutines_of_the_run_are_in_it() -> None:
    assert texts(captured.say_in_threads) == ["0"]  # the other is not inside the run
    assert texts(captured.say_in_a_loop) == ["a coroutine", "a task of it", "a thread of it"]
    assert kept(executed(captured.say_and_fail.enqueue()))[1][0] == 2


@pytest.mark.thorough_on_servers
def test_child_processes_send_what_they_log(
    capturing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.capturing_settings")
    assert texts(captured.say_in_a_child) == ["a child"]


@pytest.mark.usefixtures("capturing")
@pytest.mark.any_database
def test_the_newest_lines_are_kept() -> None:
    lines = lines_of(run_of(executed(captured.say_much.enqueue(MAX_LINES + 50, 10))).messages)
    assert len(lines) == MAX_LINES
    assert lines[0]["text"].startswith("50 ")
    lines = lines_of(run_of(executed(captured.say_much.enqueue(100, 5000))).messages)
    assert {len(line["text"]) for line in lines} == {1000}
    assert MAX_BYTES - 1010 < sum(len(line["text"].encode()) for line in lines) <= MAX_BYTES
    assert lines[-1]["text"].startswith("99 ")


@pytest.mark.any_database
def test_neither_lines_nor_messages_push_the_other_out() -> None:
    entries: list[Entry] = []
    for number in range(300):
        entries = with_message(entries, {"text": f"message {number}"}, 100)
        entries = with_lines(entries, [{"text": f"line {number}", "logger": "a"}])
    assert [entry["text"] for entry in messages_of(entries)] == [
        f"message {number}" for number in range(200, 300)
    ]
    assert [entry["text"] for entry in lines_of(entries)] == [
        f"line {number}" for number in range(100, 300)
    ]
    one = {"text": "ä" * MAX_BYTES, "logger": "a"}
    assert lines_of(with_lines(entries, [one])) == [one]


# Who shows them.


@pytest.mark.usefixtures("capturing")
@pytest.mark.any_database
def test_show_and_the_admin_escape_them(client: Client) -> None:
    result = executed(captured.say.enqueue())

    def shown(*arguments: str) -> str:
        output = StringIO()
        call_command("taskworks", "show", result.id, *arguments, stdout=output)
        return output.getvalue()

    lines = shown().splitlines()
    place = lines.index("log")
    assert lines[place + 1].endswith(" attempt 1 warning tests.captured: One of 2.")
    assert lines[place + 2].endswith(
        r" error tests.captured: Two\nof \x1b[31m<b>2</b>.\nKeyError: 'x'"
    )
    document = json.loads(shown("--json"))
    assert [entry["text"] for entry in document["messages"]] == ["For people."]
    assert [entry["text"] for entry in document["log_lines"]] == [text for *_, text in SAID]
    client.force_login(User.objects.create_superuser("root"))
    page = client.get(reverse("admin:taskworks_taskrun_change", args=[result.id])).content.decode()
    assert "warning tests.captured: One of 2." in page
    assert r"Two\nof \x1b[31m&lt;b&gt;2&lt;/b&gt;." in page


@pytest.mark.usefixtures("capturing")
@pytest.mark.any_database
def test_the_rest_api_shows_them_to_staff_alone() -> None:
    run = run_of(executed(captured.say.enqueue()))
    for detail in (False, True):
        answer = run_as_json(run, with_detail=detail)
        assert answer["messages"] == ["For people."]
        assert len(answer["message_details"]) == 1
        assert "log_lines" not in answer
    shown = TaskRunSerializer(run, context={"with_detail": True, "with_lines": True}).data
    assert [(line["level"], line["logger"]) for line in shown["log_lines"]] == [
        ("warning", "tests.captured"),
        ("error", "tests.captured"),
    ]


# Beside the project's own handlers.


@pytest.mark.any_database
@pytest.mark.usefixtures("capturing")
def test_python_s_own_warnings_are_still_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    log = logging.getLogger("tests.captured")
    with keeping_lines():
        assert is_read(log, logging.WARNING)
        assert not is_read(log, logging.INFO)
        log.warning("printed")
        log.info("not printed")
    assert capsys.readouterr().err == "printed\n"
    assert logging.root.handlers == []


@pytest.mark.any_database
@pytest.mark.usefixtures("capturing")
def test_a_handler_in_the_settings_decides_what_is_kept() -> None:
    handler = RunLogHandler(logging.ERROR)
    handler.addFilter(lambda record: setattr(record, "msg", "filtered") or True)
    log = logging.getLogger("tests.captured")
    log.addHandler(handler)
    try:
        assert texts(captured.say) == ["filtered\nKeyError: 'x'"]
        logging.root.addHandler(handler)  # twice, by mistake
        assert len(texts(captured.say)) == 1
    finally:
        log.removeHandler(handler)
        logging.root.removeHandler(handler)


@pytest.mark.any_database
def test_a_handler_in_the_settings_does_nothing_without_the_switch() -> None:
    handler = RunLogHandler()
    logging.root.addHandler(handler)
    try:
        assert texts(captured.say) == []
    finally:
        logging.root.removeHandler(handler)
