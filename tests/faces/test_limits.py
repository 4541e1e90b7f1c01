"""Limits in the admin and on the command line, what checks say of them, and who waits for what."""

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User
from django.core.checks import run_checks
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from taskworks import control
from taskworks.actions import limits as actions
from taskworks.control import why_waiting
from taskworks.models import Limit, TaskRun, Worker
from taskworks.options import declared_limits
from taskworks.store import store
from taskworks.store.limiting import Line
from tests import limited
from tests.behavior import database_now
from tests.faces.test_command_line import failing, taskworks, taskworks_json

pytestmark = pytest.mark.django_db

LIST = "/admin/taskworks/limit/"
IMPORTS = f"{LIST}intake/change/"
RATES = dict.fromkeys(["rate", "burst", "total_rate", "total_burst"])
LINE = Line("intake", "default", ("default",), "thread")


@pytest.fixture(autouse=True)
def _declared() -> None:
    actions.synchronize()


@pytest.fixture
def worker() -> Worker:
    row = Worker(label="of a test", hostname="", pid=1, slots={"thread": 1})
    store().register(row)
    return row


def logged_in(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("anna", is_staff=True)
    for action in permissions:
        user.user_permissions.add(Permission.objects.get(codename=f"{action}_limit"))
    client.force_login(user)
    return client


def imports() -> Limit:
    return Limit.objects.get(name="intake")


def test_the_admin_shows_how_limits_are_used(client: Client, worker: Worker) -> None:
    limited.import_file.enqueue_many([["acme"]] * 7)
    store().claim_limited(worker.id, LINE, 10)
    response = logged_in(client, "view").get(LIST)
    row = response.context["cl"].result_list.get(name="intake")
    admin = response.context["cl"].model_admin
    shown = [getattr(admin, name)(row) for name in ("in_hand", "waiting", "declared_numbers")]
    assert shown == ["2", "5", "as shown"]
    assert ">intake<" in response.content.decode()


def test_a_page_of_the_admin_takes_as_many_statements_for_many_limits(
    client: Client, worker: Worker
) -> None:
    anna = logged_in(client, "view")

    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert anna.get(LIST).status_code == 200
        return len(captured)

    few = statements()
    Limit.objects.bulk_create(Limit(name=f"of many {number:03}") for number in range(130))
    assert statements() == few
    with CaptureQueriesContext(connection) as captured:
        anna.get(IMPORTS)
    assert sum("COUNT(*)" in query["sql"] for query in captured) == 1
    with CaptureQueriesContext(connection) as captured:
        assert len(taskworks("limits").splitlines()) > 130
    assert len(captured) <= 4


def test_the_admin_changes_numbers(client: Client) -> None:
    anna = logged_in(client, "view", "change")
    assert anna.post(IMPORTS, {"at_once": "7", "total": ""}).status_code == 302
    assert imports().in_force == {"at_once": 7, "total": None}
    actions.synchronize()
    assert imports().in_force == {"at_once": 7, "total": None}
    assert "at_once 2, total 5" in anna.get(LIST).content.decode()


@pytest.mark.parametrize("number", ["3000000000", "0", "-1", "x", "1.5"])
def test_the_admin_refuses_bad_numbers(client: Client, number: str) -> None:
    response = logged_in(client, "view", "change").post(IMPORTS, {"at_once": number, "total": "5"})
    assert response.status_code == 200
    assert "errorlist" in response.content.decode()
    assert imports().at_once == 2


def test_the_admin_adds_and_deletes_none_and_changes_none_that_is_not_declared(
    client: Client,
) -> None:
    anna = logged_in(client, "view", "add", "change", "delete")
    assert anna.get(f"{LIST}add/").status_code == 403
    assert anna.post(f"{LIST}intake/delete/", {"post": "yes"}).status_code == 403
    Limit.objects.update(declared=None)
    assert anna.post(IMPORTS, {"at_once": "7", "total": "5"}).status_code == 403
    assert "by nobody: it limits nothing" in anna.get(LIST).content.decode()


def test_who_may_only_look_changes_nothing(client: Client) -> None:
    anna = logged_in(client, "view")
    assert anna.post(IMPORTS, {"at_once": "7", "total": "5"}).status_code == 403
    assert imports().at_once == 2


def test_the_command_lists_limits(worker: Worker) -> None:
    limited.import_file.enqueue_many([["acme"]] * 3)
    store().claim_limited(worker.id, LINE, 10)
    [line] = [one for one in taskworks("limits").splitlines() if one.startswith("intake ")]
    assert line.split() == ["intake", "2", "5", "none", "none", "2", "1", "as", "shown"]
    [one] = taskworks_json("limits", "intake")
    assert one == {
        "name": "intake",
        "at_once": 2,
        "total": 5,
        **RATES,
        "declared": {"at_once": 2, "total": 5, **RATES},
        "in_hand": 2,
        "waiting": 1,
        "is_capped": False,
    }


def test_json_says_that_more_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    limited.import_file.enqueue_many([["acme"]] * 3)
    monkeypatch.setattr(actions, "MAX_COUNTED", 2)
    [one] = taskworks_json("limits", "intake")
    assert (one["waiting"], one["is_capped"]) == (2, True)


def test_the_command_changes_numbers_and_resets_them() -> None:
    assert "changed since" in taskworks("limits", "intake", "--at-once", "3", "--total", "none")
    assert imports().in_force == {"at_once": 3, "total": None}
    assert "as shown" in taskworks("limits", "intake", "--reset")
    assert imports().in_force == {"at_once": 2, "total": 5}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["intak"], "There is no limit 'intak' in the database. Did you mean 'intake'?"),
        (["intak", "--at-once", "3"], "There is no limit 'intak' in the database."),
        (["--at-once", "3"], "Name the limit whose numbers are to be changed."),
        (["--reset"], "Name the limit whose numbers are to be changed."),
        (["intake", "--total", str(2**31)], "total of the limit 'intake' must be an integer"),
    ],
)
def test_the_command_refuses(arguments: list[str], sentence: str) -> None:
    assert failing(2, "limits", *arguments)[1].startswith(sentence)


def test_an_error_finds_a_name_among_many_limits_and_lists_all_or_none() -> None:
    def hint(name: str) -> str:
        start, _, rest = failing(2, "limits", name)[1].strip().partition(" in the database.")
        assert start == f"There is no limit {name!r}"
        return rest

    names = [*Limit.objects.order_by("name").values_list("name", flat=True)]
    assert hint("???") == f" Choose from: {', '.join(names)}."
    Limit.objects.bulk_create(Limit(name=f"of many {number:03}") for number in range(130))
    Limit.objects.create(name="zebra")
    assert hint("zebr") == " Did you mean 'zebra'?"
    assert hint("???") == ""


def test_there_may_be_none() -> None:
    Limit.objects.all().delete()
    assert taskworks("limits") == "There are no limits.\n"
    assert taskworks_json("limits") == []
    assert failing(2, "limits", "intake")[1] == "There is no limit 'intake' in the database."


def test_code_changes_numbers() -> None:
    assert control.change_limit("intake", at_once=9).in_force == {"at_once": 9, "total": 5}
    changed = async_to_sync(control.achange_limit)("intake", total=None)
    assert changed.in_force == {"at_once": 9, "total": None}
    for numbers in ({}, {"at_once": 0}, {"total": "5"}, {"at_once": True}):
        with pytest.raises(ValueError, match="limit 'intake'"):
            control.change_limit("intake", **numbers)  # type: ignore[arg-type]


def why(worker: Worker, *, claimed: int = 10) -> Any:
    store().claim_limited(worker.id, LINE, claimed)
    run = TaskRun.objects.ready().order_by("-id")[0]
    return why_waiting(run.to_result())


def test_a_run_waits_for_a_slot_of_its_key(worker: Worker) -> None:
    limited.import_file.enqueue_many([["acme"]] * 6)
    assert why(worker) == "It is limited by intake/acme: 2 of 2 in hand, 3 runs in front of it."


def test_a_run_waits_for_a_slot_of_its_limit(worker: Worker) -> None:
    limited.import_file.enqueue_many([[key] for key in "aabbcd"])
    assert why(worker) == "It is limited by intake: 5 of 5 in hand, no runs in front of it."


def test_a_run_waits_for_its_rate(worker: Worker) -> None:
    control.change_limit("intake", at_once=None, total=None, rate="1/h")
    limited.import_file.enqueue_many([["acme"]] * 3)
    sentence = why(worker)
    assert sentence.startswith("It is limited by intake/acme: rated until 20")
    assert sentence.endswith(" UTC (1/h), 1 run in front of it.")
    control.change_limit("intake", rate=None, total_rate="1/d")
    sentence = why(worker, claimed=1)
    limited.import_file.enqueue("globex")
    sentence = why(worker)
    assert sentence.startswith("It is limited by intake: rated until 20")
    assert sentence.endswith(" UTC (1/d), no runs in front of it.")


def test_a_run_waits_because_its_key_is_held(worker: Worker) -> None:
    limited.import_file.enqueue_many([["acme"]] * 3)
    until = store().read_clock() + timedelta(hours=1)
    store().hold_keys("intake", {"acme": until})
    expected = f"held until {until:%Y-%m-%d %H:%M:%S %Z}, 2 runs in front of it."
    assert why(worker) == f"It is limited by intake/acme: {expected}"
    limited.import_file.enqueue("globex")
    assert why(worker, claimed=0) == "It is ready, with no runs in front of it in intake/globex."


def test_rates_are_changed_in_the_admin(client: Client) -> None:
    anna = logged_in(client, "view", "change")
    numbers = {"at_once": "2", "total": "5", "rate": "100/m", "burst": "10"}
    assert anna.post(IMPORTS, numbers).status_code == 302
    assert (imports().rate, imports().burst, imports().total_rate) == ("100/m", 10, None)
    for bad in ({"rate": "100/x"}, {"rate": "0/s"}, {"burst": "0"}, {"total_rate": "9" * 40}):
        response = anna.post(IMPORTS, {**numbers, **bad})
        assert "errorlist" in response.content.decode()
    assert anna.post(IMPORTS, {**numbers, "rate": "", "burst": ""}).status_code == 302
    assert imports().rate is None


def test_the_command_changes_rates(worker: Worker) -> None:
    words = ["--rate", "100/m", "--burst", "10", "--total-rate", "5/10s"]
    [line] = [one for one in taskworks("limits", "intake", *words).splitlines() if "5/10s" in one]
    assert "100/m, 10 at once" in line
    assert (imports().rate, imports().burst, imports().total_rate) == ("100/m", 10, "5/10s")
    taskworks("limits", "intake", "--rate", "none")
    assert imports().rate is None
    taskworks("limits", "intake", "--reset")
    assert imports().changed == {}
    sentence = "rate of the limit 'intake' must be a number of starts and a time"
    assert failing(2, "limits", "intake", "--rate", "fast")[1].startswith(sentence)


def test_a_run_waits_for_its_turn(worker: Worker) -> None:
    limited.import_file.enqueue_many([["a"], ["a"], ["a"]])
    assert why(worker, claimed=1) == "It is ready, with 1 run in front of it in intake/a."
    limited.send.enqueue("ada")
    assert why(worker, claimed=0) == "It is ready, with no runs in front of it in mailer."


def test_a_limit_that_nobody_declares_holds_up_nothing(worker: Worker) -> None:
    limited.import_file.enqueue_many([["a"]] * 3)
    store().claim_limited(worker.id, LINE, 1)
    Limit.objects.update(declared=None, at_once=1)
    run = TaskRun.objects.ready()[0]
    assert (why_waiting(run.to_result()) or "").startswith("It is ready")


# Checks.


def ids(**databases: Any) -> list[tuple[str, str]]:
    found = [message for message in run_checks(**databases) if str(message.id)[-3:-1] == "06"]
    return [(str(message.id), message.msg) for message in found]


def test_all_is_well() -> None:
    limited.import_file.enqueue("a")
    assert ids(databases=["default"]) == []


def test_runs_of_a_renamed_limit_are_reported() -> None:
    limited.import_file.enqueue("a")
    TaskRun.objects.update(limit_name="old")
    assert ids() == []
    [(id_, sentence)] = ids(databases=["default"])
    assert (id_, sentence[:36]) == ("taskworks.W060", "Runs wait that have the limit 'old',")
    TaskRun.objects.update(state="successful", finished_at=database_now())
    assert ids(databases=["default"]) == []


def test_a_task_with_a_limit_that_nobody_declares_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(declared_limits, "_named", {"intake": {"shop.a"}, "other": {"shop.b"}})
    sentence = "The task shop.b has the limit 'other', which nobody declares."
    assert ids() == [("taskworks.E061", sentence)]


def test_a_bad_setting_is_reported(settings: Any) -> None:
    settings.TASKWORKS = {"LIMITS": {"new": {"at_once": 0}}}
    [(id_, sentence)] = ids()
    assert id_ == "taskworks.E060"
    assert sentence.startswith("TASKWORKS['LIMITS']['new']: at_once of the limit 'new' must be")
