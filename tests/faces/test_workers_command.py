"""``taskworks workers`` lists them, ``taskworks stop-worker`` has some end."""

import json
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from taskworks.models import Worker
from taskworks.store import store
from tests.faces.conftest import MakeRun

pytestmark = pytest.mark.django_db(transaction=True)


def taskworks(*arguments: Any) -> str:
    output = StringIO()
    call_command("taskworks", *map(str, arguments), stdout=output)
    return output.getvalue()


def registered(**facts: Any) -> Worker:
    one = Worker(id=uuid4(), hostname="h", pid=1, **{"label": "w", **facts})
    store().register(one)
    return one


def test_of_nobody() -> None:
    assert taskworks("workers") == "No workers are running.\n"
    assert json.loads(taskworks("workers", "--json")) == []


def test_each_says_what_it_takes_and_how_busy_it_is_now(make_run: MakeRun) -> None:
    one = registered(
        label="odd\n\x1b[31m",
        queues=["mail", 'a "b"\n'],
        slots={"thread": 4, "async": 2},
        memory=77 * 2**20,
        release="v1\t2",
    )
    for _ in range(3):
        make_run(state="running", claimed_by=one.id)
    head, line = taskworks("workers").splitlines()
    assert head.split() == [
        "ID",
        "LABEL",
        "QUEUES",
        "BUSY",
        "MEMORY",
        "RELEASE",
        "HEARTBEAT",
        "ASKED",
        "TO",
    ]
    assert line.startswith(str(one.id))
    for told in ("odd\\n\\x1b[31m", 'mail, a "b"\\n', "3 of 6", "77 MiB", "v1\\t2"):
        assert told in line
    [keyed] = json.loads(taskworks("workers", "--json"))
    assert keyed["queues"] == ["mail", 'a "b"\n']
    assert (keyed["busy"], keyed["memory"], keyed["asked_to"]) == (3, 77 * 2**20, "")


def test_no_more_slots_are_busy_than_there_are(make_run: MakeRun) -> None:
    """The other runs were claimed ahead."""
    one = registered(slots={"thread": 1, "async": 100})
    for state in ("running", "claimed", "claimed"):
        make_run(state=state, claimed_by=one.id)
    [keyed] = json.loads(taskworks("workers", "--json"))
    assert (keyed["busy"], keyed["runs_in_hand"]) == (1, 3)


@pytest.mark.parametrize(("arguments", "to"), [([], "stop"), (["--drain"], "drain")])
def test_those_that_are_named_are_asked(arguments: list[str], to: str) -> None:
    one, two, other = registered(), registered(), registered()
    output = taskworks("stop-worker", one.id, two.id, one.id, *arguments)
    assert output.splitlines() == [f"{w.id} (w) was asked to {to}." for w in (one, two)]
    asked = {w.id: w.asked_to for w in Worker.objects.all()}
    assert asked == {one.id: to, two.id: to, other.id: ""}
    told = json.loads(taskworks("stop-worker", one.id, "--json", *arguments))
    assert told == [{"id": str(one.id), "asked_to": to}]


def test_nobody_is_asked_if_one_does_not_live() -> None:
    one, unknown = registered(), uuid4()
    gone = registered(given_up_at=store().read_clock())
    with pytest.raises(CommandError, match=f"no living worker.* {gone.id} or {unknown}") as error:
        taskworks("stop-worker", one.id, gone.id, unknown)
    assert error.value.returncode == 2
    assert {w.asked_to for w in Worker.objects.all()} == {""}
    with pytest.raises(CommandError, match="must be the id of a worker, not 'w'"):
        taskworks("stop-worker", "w")
