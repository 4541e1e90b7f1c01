"""What cannot be enqueued is refused in a sentence; what can comes back unchanged, everywhere."""

import decimal
import math
import uuid
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from django.utils.translation import gettext_lazy

from taskworks import TaskResultStatus, task
from taskworks.exceptions import InvalidTask
from taskworks.models import TaskRun, Worker
from tests import tasks
from tests.behavior import Enqueue, executed, refused, rewrite, run_of

pytestmark = pytest.mark.django_db

REMEDY = "Arguments and return values must be JSON: text, numbers, booleans, None, and lists"


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


REFUSED = {
    "datetime": (datetime.now(UTC), TypeError, "Unsupported type: <class 'datetime.datetime'>"),
    "timedelta": (timedelta(1), TypeError, "Unsupported type: <class 'datetime.timedelta'>"),
    "bytes": (b"text", TypeError, "Unsupported type: <class 'bytes'>"),
    "bytearray": (bytearray(b"x"), TypeError, "Unsupported type: <class 'bytearray'>"),
    "memoryview": (memoryview(b"x"), TypeError, "Unsupported type: <class 'memoryview'>"),
    "set": ({1, 2}, TypeError, "Unsupported type: <class 'set'>"),
    "generator": ((n for n in [1]), TypeError, "Unsupported type: <class 'generator'>"),
    "model": (Worker(), TypeError, "Unsupported type: <class 'taskworks.models.worker.Worker'>"),
    "queryset": (Worker.objects.none(), TypeError, "Unsupported type: <class 'taskworks.models"),
    "uuid": (uuid.uuid4(), TypeError, "Unsupported type: <class 'uuid.UUID'>"),
    "decimal": (decimal.Decimal(1), TypeError, "Unsupported type: <class 'decimal.Decimal'>"),
    "complex": (1j, TypeError, "Unsupported type: <class 'complex'>"),
    "lazy text": (gettext_lazy("x"), TypeError, "Unsupported type: "),
    "object": (object(), TypeError, "Unsupported type: <class 'object'>"),
    "class": (dict, TypeError, "Unsupported type: <class 'type'>"),
    "NaN": (math.nan, ValueError, "The number nan, which JSON does not have,"),
    "infinity": (-math.inf, ValueError, "The number -inf, which JSON does not have,"),
    "2**70": (2**70, ValueError, "An integer of more than 64 bits"),
    "2**63": (2**63, ValueError, "An integer of more than 64 bits"),
    "-2**63-1": (-(2**63) - 1, ValueError, "An integer of more than 64 bits"),
    "lone surrogate": ("\ud800", ValueError, "A lone surrogate, which is not valid text,"),
    "NUL": ("a\0b", ValueError, "A NUL character"),
    "10,000 levels": (nested(10_000), ValueError, "A value more than 100 levels deep"),
    "endless": (endless(), ValueError, "A value more than 100 levels deep"),
}


@pytest.mark.parametrize(("value", "error", "reason"), REFUSED.values(), ids=REFUSED)
class TestAValueThatIsNoJSON:
    def test_is_refused_in_its_place(
        self, enqueue: Enqueue, value: Any, error: type[Exception], reason: str
    ) -> None:
        with refused(error, reason, " at args[1]", REMEDY):
            enqueue(tasks.noop, "good", value)
        with refused(error, reason, " at kwargs['key']", REMEDY):
            enqueue(tasks.noop, key=value)

    def test_is_refused_deep_inside(self, value: Any, error: type[Exception], reason: str) -> None:
        with refused(error, reason, " at args[0]['who'][2]", REMEDY):
            tasks.noop.enqueue({"who": [1, 2, value]})

    def test_is_refused_by_every_backend_of_ours_that_stores(
        self, value: Any, error: type[Exception], reason: str
    ) -> None:
        with refused(error, reason):
            tasks.noop.using(backend="other").enqueue(value)


@pytest.mark.parametrize(
    ("key", "error", "reason"),
    [
        (1, TypeError, "Unsupported type: <class 'int'> as a dict's key (1)"),
        (None, TypeError, "Unsupported type: <class 'NoneType'> as a dict's key (None)"),
        (True, TypeError, "Unsupported type: <class 'bool'> as a dict's key (True)"),
        ((1, 2), TypeError, "Unsupported type: <class 'tuple'> as a dict's key ((1, 2))"),
        (b"key", TypeError, "Unsupported type: <class 'bytes'> as a dict's key (b'key')"),
        ("a\0b", ValueError, "A NUL character"),
        ("\udfff", ValueError, "A lone surrogate"),
    ],
    ids=ascii,
)
def test_a_key_that_is_no_text_is_refused(
    enqueue: Enqueue, key: Any, error: type[Exception], reason: str
) -> None:
    with refused(error, reason, " at args[0]['by']", REMEDY):
        enqueue(tasks.noop, {"by": {key: 1}})


def test_the_name_of_a_keyword_is_text_too(enqueue: Enqueue) -> None:
    with refused(ValueError, "A NUL character at kwargs"):
        enqueue(tasks.noop, **{"a\0b": 1})


def test_arguments_of_more_than_a_megabyte_are_refused(enqueue: Enqueue) -> None:
    with refused(
        ValueError, "args takes 1,048,577 bytes", "TASKWORKS['MAX_JSON_SIZE']", "pass its key"
    ):
        enqueue(tasks.noop, "x" * (1024 * 1024 - 3))


def test_how_much_is_too_much_is_a_setting(enqueue: Enqueue, settings: Any) -> None:
    settings.TASKWORKS = {"MAX_JSON_SIZE": 10}
    enqueue(tasks.noop, "123456")
    with refused(ValueError, "args takes 11 bytes", "allows 10"):
        enqueue(tasks.noop, "1234567")


class TestATask:
    def test_for_an_unknown_queue_is_refused(self) -> None:
        with refused(InvalidTask, "Queue 'nowhere' is not valid"):
            tasks.noop.using(queue_name="nowhere").enqueue()

    @pytest.mark.parametrize("name", ["", " mail", "mail ", "a\nb", "x" * 129])
    def test_for_a_queue_that_no_command_line_could_name_is_refused(
        self, settings: Any, name: str
    ) -> None:
        settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": []}}
        with refused(InvalidTask, "The queue name must be 1 to 128 printable characters"):
            tasks.noop.using(queue_name=name).enqueue()

    def test_for_a_naive_time_is_refused(self) -> None:
        with refused(InvalidTask, "run_after must be an aware datetime."):
            tasks.noop.using(run_after=datetime(2100, 1, 1)).enqueue()

    @pytest.mark.parametrize("priority", [101, -101, 3.1])
    def test_of_no_priority_is_refused(self, priority: Any) -> None:
        with refused(InvalidTask, "priority must be a whole number between -100 and 100."):
            tasks.noop.using(priority=priority).enqueue()

    def test_of_an_unknown_option_is_refused(self) -> None:
        with refused(TypeError, "no option 'priorty'. Did you mean 'priority'?"):
            tasks.noop.using(priorty=1).enqueue()

    @pytest.mark.parametrize("offset", [-14, 14])
    @pytest.mark.parametrize("moment", [datetime.min, datetime.max], ids=["first", "last"])
    def test_for_a_time_beyond_the_calendar_is_refused_or_kept(
        self, moment: datetime, offset: int
    ) -> None:
        moment = moment.replace(tzinfo=timezone(timedelta(hours=offset)))
        try:
            moment.astimezone(UTC)
        except OverflowError:
            with refused(InvalidTask, "run_after"):
                tasks.noop.using(run_after=moment).enqueue()
        else:
            result = tasks.noop.using(run_after=moment).enqueue()
            assert tasks.noop.get_result(result.id).task.run_after == moment


def plain() -> None:
    """Not decorated, so that a worker finds no task at its path."""


def replaced() -> None:
    """Its name belongs to another function by the time it is enqueued."""


first_replaced = task(replaced)


@task
def replaced() -> None:  # type: ignore[no-redef]
    """The later function of this name."""


class Holder:
    @staticmethod
    def inside() -> None: ...


def of_no_module() -> None: ...


class TestAFunctionThatNoWorkerCouldFind:
    """Refused when enqueued, since only then its module is complete."""

    def test_because_it_is_no_task_there(self, enqueue: Enqueue) -> None:
        with refused(InvalidTask, f"'{__name__}.plain' is not a task: it is of type function."):
            enqueue(task(plain))

    def test_because_it_is_another_task_there(self, enqueue: Enqueue) -> None:
        where = f"'{__name__}.replaced' leads to something else"
        with refused(InvalidTask, where, "Define the task"):
            enqueue(first_replaced)
        enqueue(replaced)

    def test_because_it_is_inside_a_class(self, enqueue: Enqueue) -> None:
        with refused(InvalidTask, f"Workers cannot import '{__name__}.Holder.inside'"):
            enqueue(task(Holder.inside))

    @pytest.mark.parametrize("module", ["nowhere", "__main__"])
    def test_because_its_module_is_elsewhere(
        self, enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch, module: str
    ) -> None:
        monkeypatch.setattr(of_no_module, "__module__", module)
        with refused(InvalidTask, f"Workers cannot import '{module}.of_no_module'"):
            enqueue(task(of_no_module))

    def test_because_it_belongs_to_the_script_that_runs(
        self, enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = task(of_no_module)
        monkeypatch.setattr(of_no_module, "__module__", "__main__")
        monkeypatch.setattr("__main__.of_no_module", made, raising=False)
        with refused(InvalidTask, "No worker could find this task", "importable module"):
            enqueue(made)

    def test_because_it_is_a_lambda(self) -> None:
        with refused(InvalidTask, "must be defined at a module level", "use def"):
            task(lambda: None).enqueue()

    def test_because_it_is_nested(self) -> None:
        def inner() -> None: ...

        with refused(InvalidTask, "must be defined at a module level"):
            task(inner).enqueue()

    def test_because_its_path_is_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(of_no_module, "__qualname__", "x" * 513)
        with refused(InvalidTask, "The task's path must be 1 to 512 printable characters"):
            task(of_no_module).enqueue()


class Color(StrEnum):
    RED = "red"


TRICKY = {
    "1e16": 1e16,
    "1e22": 1e22,
    "-0.0": -0.0,
    "0.1": 0.1,
    "1/3": 1 / 3,
    "1.0": 1.0,
    "largest float": 1.7976931348623157e308,
    "smallest float": 5e-324,
    "2**63-1": 2**63 - 1,
    "-2**63": -(2**63),
    "2**53+1": 2**53 + 1,
    "true": True,
    "none": None,
    "line separator": "\u2028",
    "emoji": "👩\u200d🚀 ✂️",
    "not normalised": "e\u0301 é",
    "control characters": "\x01\x1f\x7f\x85\r\n\t",
    "quotes": "'\"\\`%s %(x)s {} $1 ;--",
    "not a character": "\uffff\U0010ffff",
    "empty text": "",
    "spaces": "  ",
    "looks like JSON": '{"a": null}',
    "looks like null": "null",
    "empty list": [],
    "empty dict": {},
    "order of keys": {"b": 1, "a": 2, "": 3, "B": 4, "10": 5, "9": 6},
    "keys alike": {"a": 1, "A": 2, "á": 3, "a ": 4},
    "90 levels": nested(90),
    "90 levels of dicts": {"x": {"y": nested(88)}},
    "a megabyte less a little": "x" * (1024 * 1024 - 100),
    "many small values": [[number, {"a": None}] for number in range(10_000)],
}


def same(one: Any, other: Any) -> bool:
    """Equal, with the same types, signs of nought, and order of keys."""
    return repr(one) == repr(other) and one == other


@pytest.mark.parametrize("value", TRICKY.values(), ids=TRICKY)
class TestATrickyValue:
    def test_comes_back_unchanged_as_an_argument(self, enqueue: Enqueue, value: Any) -> None:
        result = enqueue(tasks.noop, value, key=value)
        run = run_of(result)
        again = tasks.noop.get_result(result.id)
        for args, kwargs in (
            (result.args, result.kwargs),
            (run.args, run.kwargs),
            (again.args, again.kwargs),
        ):
            assert same(args, [value])
            assert same(kwargs, {"key": value})

    @pytest.mark.django_db(transaction=True)
    def test_reaches_the_task_and_comes_back_as_its_result(self, value: Any) -> None:
        result = executed(hand_back.enqueue(value))
        assert same(result.return_value, value)


@task
def hand_back(value: Any) -> Any:
    return value


@task
def give_refused(name: str) -> Any:
    return REFUSED[name][0]


@pytest.mark.django_db(transaction=True)
def test_a_result_that_is_no_json_is_a_failure_that_says_where() -> None:
    results = {name: give_refused.enqueue(name) for name in REFUSED if name != "generator"}
    executed(tasks.noop.enqueue())
    for name, result in results.items():
        _, error, reason = REFUSED[name]
        result.refresh()
        assert result.status is TaskResultStatus.FAILED, name
        assert result.errors[0].exception_class is error, name
        assert f"{reason} at return_value. {REMEDY}" in result.errors[0].traceback or (
            reason in result.errors[0].traceback
            and " at return_value" in result.errors[0].traceback
        ), name


@task
def give_much(size: int) -> str:
    return "x" * size


@pytest.mark.django_db(transaction=True)
def test_a_result_of_more_than_a_megabyte_is_a_failure() -> None:
    result = executed(give_much.enqueue(1024 * 1024 - 1))
    assert result.errors[0].exception_class is ValueError
    assert "return_value takes 1,048,577 bytes as JSON" in result.errors[0].traceback


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("small", [{"MAX_JSON_SIZE": 10}, {"MAX_TRACEBACK_LENGTH": 1}])
def test_a_failure_is_written_whatever_the_settings_say_of_sizes(
    settings: Any, small: dict[str, Any]
) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, **small}
    assert executed(tasks.fail.enqueue()).status is TaskResultStatus.FAILED


@pytest.mark.django_db(transaction=True)
def test_many_errors_of_one_run_are_written_though_they_are_more_than_an_argument_may_be(
    settings: Any,
) -> None:
    result = tasks.raise_long.enqueue()
    settings.TASKWORKS = {**settings.TASKWORKS, "MAX_JSON_SIZE": 25_000}
    for _ in range(3):
        rewrite(result, state="ready")
        executed(result)
    assert len(result.errors) == 3


class TestTextsOfOtherTypes:
    """They pass, since every database gives back the text that they are."""

    def test_become_text(self, enqueue: Enqueue) -> None:
        result = enqueue(tasks.noop, Color.RED, {Color.RED: 1})
        assert result.args == ["red", {"red": 1}]
        assert type(result.args[0]) is str
        assert run_of(result).args == ["red", {"red": 1}]


def test_nothing_of_all_this_is_left_in_the_tables() -> None:
    for value, error, _ in REFUSED.values():
        with pytest.raises(error):
            tasks.noop.enqueue(value)
    assert TaskRun.objects.count() == 0
