"""``limit=``: what may be declared, and which lane a run gets."""

import json
from collections import Counter
from datetime import timedelta
from enum import StrEnum
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from taskworks import Limit, task
from taskworks.actions import limits as actions
from taskworks.exceptions import InvalidTask
from taskworks.models import Limit as LimitRow
from taskworks.models import TaskRun
from taskworks.store import store
from tests import limited, tasks
from tests.behavior import Settings, run_of, run_worker

with_database = pytest.mark.django_db(transaction=True)
DECLARED = {"of settings": {"by": "tenant", "at_once": 3}}


@pytest.fixture
def _of_settings(settings: Settings) -> None:
    settings.TASKWORKS = {"LIMITS": DECLARED}


def lane(result: Any) -> tuple[str | None, str | None]:
    run = run_of(result)
    return run.limit_name, run.lane


@with_database
class TestLanes:
    def test_are_the_values_of_a_parameter_however_it_is_given(self) -> None:
        for result in (
            limited.import_file.enqueue("acme"),
            limited.import_file.enqueue(tenant="acme"),
            limited.import_file.enqueue("acme", path="b"),
            limited.import_async.enqueue("b"),
            limited.import_async.enqueue("b", tenant="acme"),
            limited.import_file.using(priority=5).enqueue("acme"),
            limited.import_file.using(run_after=timedelta(hours=1)).enqueue("acme"),
            *limited.import_file.enqueue_many([["acme"]]),
            limited.import_file.enqueue_on_commit("acme"),
        ):
            assert lane(result) == ("intake", "acme")

    def test_of_a_limit_without_by_are_one(self) -> None:
        assert lane(limited.send.enqueue("ada")) == ("mailer", "(all)")

    def test_of_others_are_none(self) -> None:
        assert lane(tasks.noop.enqueue()) == (None, None)

    def test_of_many_are_each_its_own(self) -> None:
        results = limited.import_file.enqueue_many([["a"], {"tenant": None}, [7]])
        assert [lane(result)[1] for result in results] == ["a", "(none)", "7"]

    def test_using_gives_a_limit_to_a_task_that_has_none(self) -> None:
        result = tasks.add.using(limit="mailer").enqueue(1, 2)
        assert lane(result) == ("mailer", "(all)")

    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            (5, "5"),
            ("5", "5"),
            (1.5, "1.5"),
            (True, "true"),
            (None, "(none)"),
            ({"b": 1, "a": ["ü"]}, '{"a":["ü"],"b":1}'),
            ("*", "*"),
            ("'", "'"),
            ("%s", "%s"),
            ("🙂", "🙂"),
            (StrEnum("Tenant", ["ACME"]).ACME, "acme"),
            ("x" * 128, "x" * 128),
        ],
    )
    def test_are_text_that_people_can_read(self, key: Any, expected: str) -> None:
        assert lane(limited.import_file.enqueue(key))[1] == expected

    def test_of_odd_keys_end_in_a_digest_and_are_told_apart(self) -> None:
        odd = [
            "x" * 4096,
            "x" * 4095,
            "x" * 129,
            " a",
            "a ",
            "a\n",
            "a\t",
            "(none)",
            "(all)",
            "\u200b",
        ]
        found = [lane(limited.import_file.enqueue(key))[1] for key in odd]
        assert len({*found}) == len(odd)
        assert not {*found} & {"a", "(none)", "(all)"}
        assert all(text and len(text) <= 128 and text == text.strip() for text in found)
        assert found[0].startswith("x" * 90)

    def test_outlive_retries_and_the_like(self) -> None:
        result = limited.import_file.enqueue("acme")
        assert store().cancel(run_of(result).id, {"exception_class_path": "", "traceback": ""})
        assert result.retry()
        assert lane(result) == ("intake", "acme")

    def test_of_a_blocked_run_wait_with_it(self) -> None:
        first = tasks.noop.enqueue()
        backend = limited.import_file.get_backend()
        after = backend.enqueue_after(limited.import_file, ["acme"], {}, first)
        assert (run_of(after).state, *lane(after)) == ("blocked", "intake", "acme")
        run_worker()
        assert run_of(after).state == "successful"


@with_database
class TestRefusals:
    @pytest.mark.parametrize("key", ["", "a\0b", "\ud800", object(), float("nan")])
    def test_of_keys(self, key: Any) -> None:
        with pytest.raises((TypeError, ValueError)):
            limited.import_file.enqueue(key)
        with pytest.raises((TypeError, ValueError), match="item 1"):
            limited.import_file.enqueue_many([["a"], [key]])
        assert not TaskRun.objects.exists()

    def test_an_empty_key_is_named(self) -> None:
        with pytest.raises(ValueError, match="tenant is the key of the limit 'intake', and must"):
            limited.import_file.enqueue("")

    def test_of_a_call_without_the_argument(self) -> None:
        with pytest.raises(TypeError, match="needs the argument 'tenant' of import_file"):
            limited.import_file.enqueue(path="a")

    def test_of_a_limit_that_nobody_declares(self) -> None:
        with pytest.raises(InvalidTask, match=r"no limit 'intak'\..*Did you mean 'intake'"):
            tasks.noop.using(limit="intak").enqueue()
        with pytest.raises(InvalidTask, match="no limit 'new'"):
            tasks.noop.using(limit=Limit("new", at_once=1)).enqueue()
        with pytest.raises(InvalidTask, match="no limit 'of settings'"):
            limited.in_turn.using(limit="of settings").enqueue("a")
        assert not TaskRun.objects.exists()

    def test_of_another_with_the_same_name(self) -> None:
        with pytest.raises(InvalidTask, match="'intake' is declared twice"):
            limited.import_file.using(limit=Limit("intake", by="tenant", at_once=9)).enqueue("a")

    def test_of_a_limit_that_does_not_fit_the_function(self) -> None:
        with pytest.raises(InvalidTask, match=r"by 'tenant', but add\(\) has no such parameter"):
            tasks.add.using(limit="intake").enqueue(1, 2)
        assert not TaskRun.objects.exists()


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"by": "tennant"},
            "is by 'tennant', but import_file.* no such parameter.*Did you mean 'tenant'",
        ),
        ({"at_once": 0}, "at_once of the limit 'new' must be an integer from 1 .*, not 0"),
        ({"at_once": -1}, "at_once of the limit 'new' must be"),
        ({"at_once": 1.5}, "at_once of the limit 'new' must be"),
        ({"at_once": True}, "at_once of the limit 'new' must be"),
        ({"total": "2"}, "total of the limit 'new' must be"),
        ({"total": 2**31}, "total of the limit 'new' must be"),
        ({"by": 5}, "by of the limit 'new' must be the name of a parameter, not 5"),
        ({"by": "args"}, "is by 'args', but"),
        ({"name": ""}, "The name of a limit must be 1 to 64"),
        ({"name": " a"}, "The name of a limit must be 1 to 64"),
        ({"name": "a" * 65}, "The name of a limit must be 1 to 64"),
        ({"name": "a\0"}, "The name of a limit must be 1 to 64"),
        ({"name": None}, "The name of a limit must be 1 to 64"),
        ({"name": "intake"}, "The limit 'intake' is declared twice"),
    ],
)
def test_bad_declarations_are_refused_at_import(options: dict[str, Any], sentence: str) -> None:
    function = limited.import_file.func
    with pytest.raises(InvalidTask, match=sentence):
        task(limit=Limit(**{"name": "new", **options}))(function)


@pytest.mark.any_database
@pytest.mark.parametrize("given", [5, object(), {"name": "intake"}, ["intake"]])
def test_what_is_no_limit_is_refused(given: Any) -> None:
    with pytest.raises(InvalidTask, match="limit must be a Limit or the name of one"):
        tasks.noop.using(limit=given)


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], r"TASKWORKS\['LIMITS'\] must be a dict"),
        ({"new": 5}, r"TASKWORKS\['LIMITS'\]\['new'\] must be a dict of options, not 5"),
        ({"new": {"at_one": 5}}, r"has no option 'at_one'\. Did you mean 'at_once'"),
        ({"new": {"at_once": 0}}, r"\['new'\]: at_once of the limit 'new' must be"),
        ({5: {}}, "The name of a limit"),
        ({"intake": {"at_once": 1}}, "'intake' is declared twice"),
    ],
)
def test_bad_settings_are_refused(settings: Settings, given: Any, sentence: str) -> None:
    settings.TASKWORKS = {"LIMITS": given}
    with pytest.raises((ImproperlyConfigured, InvalidTask), match=sentence):
        limited.import_file.enqueue("a")


@with_database
@pytest.mark.usefixtures("_of_settings")
def test_settings_declare_limits_that_tasks_name() -> None:
    result = limited.in_turn.using(limit="of settings").enqueue("a")
    assert lane(result) == ("of settings", "a")
    run_worker()
    row = LimitRow.objects.get(name="of settings")
    assert (row.at_once, row.total) == (3, None)
    assert row.declared == Limit("of settings", at_once=3).numbers


@with_database
class TestNumbers:
    def row(self) -> LimitRow:
        return LimitRow.objects.get(name="intake")

    def test_are_those_declared_until_somebody_changes_them(self) -> None:
        actions.synchronize()
        assert self.row().in_force == {"at_once": 2, "total": 5}
        actions.change("intake", {"at_once": 7})
        actions.synchronize()
        assert self.row().in_force == {"at_once": 7, "total": 5}
        assert self.row().changed == {"at_once": 2}

    def test_that_are_declared_anew_take_the_place_of_a_change(self) -> None:
        actions.synchronize()
        actions.change("intake", {"at_once": 7, "total": None})
        store().declare_limit("intake", {"at_once": 3, "total": 5})
        assert self.row().in_force == {"at_once": 3, "total": None}
        store().declare_limit("intake", {"at_once": 3, "total": 6})
        assert self.row().in_force == {"at_once": 3, "total": 6}

    def test_of_a_limit_that_is_not_declared_any_more_limit_nothing(self) -> None:
        store().declare_limit("old", {"at_once": 1, "total": 1})
        actions.synchronize()  # as a worker that starts, perhaps of older code
        assert LimitRow.objects.get(name="old").in_force["at_once"] == 1
        actions.synchronize(withdraw=True)
        assert LimitRow.objects.get(name="old").in_force == {"at_once": None, "total": None}
        store().declare_limit("old", {"at_once": 4, "total": None})
        assert LimitRow.objects.get(name="old").in_force == {"at_once": 4, "total": None}

    @pytest.mark.parametrize("number", [0, -1, "3", 1.5, 2**31])
    def test_that_are_bad_are_refused(self, number: Any) -> None:
        actions.synchronize()
        with pytest.raises(ValueError, match="at_once of the limit 'intake' must be"):
            actions.change("intake", {"at_once": number})

    def test_of_a_limit_that_nobody_declares_cannot_be_changed(self) -> None:
        with pytest.raises(ValueError, match="no limit 'intake' in the database"):
            actions.change("intake", {"at_once": 3})


@with_database
def test_a_batch_does_all_there_is_whatever_its_limits() -> None:
    limited.import_file.enqueue_many([[key] for key in "aaaaabbbbbccccc"])
    limited.send.enqueue_many([["ada"]] * 4)
    tasks.noop.enqueue_many([[]] * 20)
    run_worker()
    states = Counter(TaskRun.objects.values_list("state", flat=True))
    assert states == {"successful": 15 + 4 + 20}


@with_database
def test_max_tasks_counts_limited_runs_too() -> None:
    limited.in_turn.enqueue_many([[key] for key in "aabbcc"])
    run_worker("--max-tasks", "4")
    assert TaskRun.objects.successful().count() == 4
    assert TaskRun.objects.in_hand().count() == 0


@with_database
def test_what_is_stored_of_the_declaration_is_json() -> None:
    actions.synchronize()
    row = LimitRow.objects.get(name="intake")
    declared = {name: value for name, value in row.declared.items() if value is not None}
    assert json.loads(json.dumps(declared)) == {"at_once": 2, "total": 5}
