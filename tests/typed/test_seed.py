"""What users of django-task-api rely on, row by row: unchanged or fixed."""

from collections.abc import Callable
from typing import Any

import pytest

from taskworks.exceptions import InvalidInputs
from taskworks.models import TaskRun
from taskworks.typed import Task, TypedTask
from taskworks.typed.params import (
    BooleanParameter,
    DictParameter,
    FloatParameter,
    IntParameter,
    ListParameter,
    NumberParameter,
    Parameter,
    ParameterNotValidError,
    StringParameter,
)
from tests.behavior import executed, run_of

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = object()


class Seed(Task):
    """Does what the test defines."""

    name = "seed"
    inputs = {"a": IntParameter(), "b": StringParameter(required=False)}
    outputs = {"x": NumberParameter(required=False), "y": NumberParameter(required=False)}
    does: Callable[..., Any]

    def run(self, a: int, b: str = "b") -> Any:
        return type(self).does(self, a, b)


class One(Seed):
    name = "one"
    outputs = {"x": DictParameter()}


def ran(does: Callable[..., Any], kind: type[Seed] = Seed) -> TaskRun:
    kind.does = does
    return run_of(executed(kind().start({"a": 1})))


# 2.1 The class.


def test_its_names_are_ours() -> None:
    assert Task is TypedTask
    assert issubclass(ParameterNotValidError, ValueError)
    assert Seed.task.typed is not None
    assert (Seed.task.typed.name, Seed().name) == ("seed", "seed")


def test_optional_inputs_need_defaults_in_python_alone() -> None:
    assert ran(lambda self, a, b: {"x": a + len(b)}).return_value == {"x": 2}


def test_start_validates() -> None:
    with pytest.raises(InvalidInputs):
        Seed().start({"a": "foo"})
    with pytest.raises(InvalidInputs):
        Seed().start()
    assert not TaskRun.objects.exists()


def test_a_failure_is_stored() -> None:
    run = ran(lambda self, a, b: 1 / 0)
    assert run.state == "failed"
    assert run.errors[0]["exception_class_path"] == "builtins.ZeroDivisionError"


@pytest.mark.parametrize("returned", [5, "x", [1], {"x": "no"}, {"z": 1}, {"x": object()}])
def test_no_output_leaves_a_run_under_way(returned: Any) -> None:
    run = ran(lambda self, a, b: returned)
    assert (run.state, run.errors[0]["exception_class_path"]) == (
        "failed",
        "taskworks.exceptions.InvalidOutputs",
    )


def test_outputs_may_be_none_some_or_all() -> None:
    assert ran(lambda self, a, b: None).return_value == {}
    assert ran(lambda self, a, b: {"y": 5.5}).return_value == {"y": 5.5}
    assert ran(lambda self, a, b: {"y": 5, "x": "1"}).return_value == {"x": 1, "y": 5}


def test_one_output_is_returned_bare_an_object_too() -> None:
    assert ran(lambda self, a, b: {"k": 1}, One).return_value == {"x": {"k": 1}}
    assert ran(lambda self, a, b: {"x": {"k": 1}}, One).return_value == {"x": {"k": 1}}


def test_progress_is_clamped_and_counts_from_nought() -> None:
    def work(self: Task, a: int, b: str) -> None:
        self.inc_progress()
        self.set_target(3)
        self.inc_progress(increment=5)

    run = ran(work)
    assert (run.progress, run.target) == (3, 3)


def test_messages_are_any_json() -> None:
    def work(self: Task, a: int, b: str) -> None:
        for message in ("text", 5, ["a", None], {"k": "v"}, object):
            self.add_message(message)

    texts = [message["text"] for message in ran(work).messages]
    assert texts == ["text", "5", '["a", null]', '{"k": "v"}', "\"<class 'object'>\""]


def test_telling_outside_of_a_run_does_nothing() -> None:
    task = Seed()
    task.set_target(1)
    task.set_progress(1)
    task.inc_progress()
    task.add_message("nobody reads it")
    assert task.context is None


# 2.2 Parameters. Fixed ones are marked.

NAN, INF = float("nan"), float("inf")
MENDED = REFUSED
ROWS: list[tuple[Parameter, Any, Any]] = [
    (Parameter(), [None, {"a": 1}], [None, {"a": 1}]),
    (StringParameter(), "abc", "abc"),
    (StringParameter(), 5, "5"),
    (StringParameter(), 5.3, "5.3"),
    (StringParameter(), ["a"], REFUSED),
    (StringParameter(), None, REFUSED),
    (StringParameter(), True, MENDED),
    (NumberParameter(), 5, 5),
    (NumberParameter(), "5", 5),
    (NumberParameter(), "5.3", 5.3),
    (NumberParameter(), "foo", REFUSED),
    (NumberParameter(), None, REFUSED),
    (NumberParameter(), [5], REFUSED),
    (NumberParameter(), True, MENDED),
    (NumberParameter(), "nan", MENDED),
    (NumberParameter(), "inf", MENDED),
    (IntParameter(), 5, 5),
    (IntParameter(), "6", 6),
    (IntParameter(), 5.9, MENDED),
    (IntParameter(), "5.9", MENDED),
    (IntParameter(), "inf", MENDED),
    (IntParameter(), INF, MENDED),
    (IntParameter(), NAN, MENDED),
    (FloatParameter(), 5, 5.0),
    (FloatParameter(), "5.3", 5.3),
    (FloatParameter(), NAN, MENDED),
    (BooleanParameter(), True, True),
    (BooleanParameter(), 0, False),
    (BooleanParameter(), "True", True),
    (BooleanParameter(), "FALSE", False),
    (BooleanParameter(), "maybe", REFUSED),
    (BooleanParameter(), 2, REFUSED),
    (BooleanParameter(), None, REFUSED),
    (BooleanParameter(), 1.0, True),  # fixed: refused there
    (ListParameter(IntParameter()), ["1", 2], [1, 2]),
    (ListParameter(StringParameter()), "abc", ["abc"]),
    (ListParameter(IntParameter()), 5, [5]),
    (ListParameter(IntParameter()), ["x"], REFUSED),
    (DictParameter(), {"a": 1}, {"a": 1}),
    (DictParameter(), [1], [1]),
    (DictParameter(), 5, REFUSED),
    (IntParameter(required=False), None, REFUSED),
    (IntParameter(False), 5, 5),
]


@pytest.mark.any_database
@pytest.mark.parametrize(("parameter", "given", "value"), ROWS, ids=repr)
def test_a_row_of_parameters(parameter: Parameter, given: Any, value: Any) -> None:
    if value is REFUSED:
        with pytest.raises(ParameterNotValidError):
            parameter.validated(given)
    else:
        converted = parameter.validated(given)
        assert (converted, type(converted)) == (value, type(value))
        if not isinstance(parameter, DictParameter):
            assert parameter.to_python(given) == value
        assert parameter.to_json(value) == value


# 2.3 TaskInfo.


def test_a_run_has_what_an_info_had() -> None:
    run = ran(lambda self, a, b: {"x": 1})
    assert (run.task_path, run.kwargs) == ("tests.typed.test_seed.Seed.task", {"a": 1})
    assert run.enqueued_at <= run.started_at <= run.finished_at
    assert TaskRun._meta.get_field("id").primary_key
