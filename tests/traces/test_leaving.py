"""A worker that leaves without Python's exit handlers, because a task cannot be stopped."""

from pathlib import Path

import pytest

from tests.processes.conftest import WorkerProcess
from tests.traces import shelf
from tests.traces.to_file import BATCHES, lines_of

pytestmark = [pytest.mark.any_database, pytest.mark.not_every_day]


def test_what_it_holds_back_is_sent(in_children: Path) -> None:
    """The span of the task itself never ends, so the worker makes one; and executes itself anew."""
    worker = WorkerProcess(**{BATCHES: "true"}).wait_until_up()
    try:
        result = shelf.cannot_be_stopped.enqueue()
        worker.wait_for_line("Worker ")  # the next one, in its place
        lines = lines_of(in_children / "spans")
        [process] = [one for one in lines if one["name"] == "process default"]
        events = lines_of(in_children / "events")
        [error] = [one for one in events if "exception" in one]
        [line] = [one for one in events if "logentry" in one]
    finally:
        worker.end()
    assert process["attributes"]["messaging.message.id"] == result.id
    assert process["status"]["status_code"] == "ERROR"
    [raised] = error["exception"]["values"]
    assert raised["type"] == "TaskTimeout"
    assert [frame["function"] for frame in raised["stacktrace"]["frames"]] == ["cannot_be_stopped"]
    assert "cannot be stopped" in line["logentry"]["message"]
