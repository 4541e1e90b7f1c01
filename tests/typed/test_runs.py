"""Runs of typed tasks; inputs that do not fit are refused, and outputs fail the run."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync

from taskworks import TaskResult, TaskResultStatus, default_task_backend
from taskworks.exceptions import InvalidInputs
from taskworks.models import TaskRun
from tests.behavior import executed, refused, run_of
from tests.endpoints.models import Order, Parcel
from tests.typed import declared
from tests.typed.declared import (
    ANote,
    Bare,
    Divide,
    Endless,
    Note,
    Nothing,
    Pay,
    Sum,
    Whatever,
    Wrong,
    describe,
    ordered,
)

pytestmark = pytest.mark.django_db(transaction=True)


def failure(result: TaskResult) -> str:
    """Execute the run; return the last line of the traceback of its failure."""
    executed(result)
    assert result.status == TaskResultStatus.FAILED
    return result.errors[-1].traceback.rstrip().splitlines()[-1]


def test_a_run_has_its_inputs_and_its_outputs() -> None:
    result = Sum.enqueue(numbers=["1.5", 2], start="3")
    run = run_of(result)
    assert (run.task_path, run.args) == ("tests.typed.declared.Sum.task", [])
    assert run.kwargs == {"numbers": [1.5, 2.0], "start": 3}
    executed(result)
    assert result.return_value == {"sum": 6.5}
    assert (result.progress, result.target) == (2, 2)
    assert [(message.level, message.text) for message in result.messages] == [
        ("debug", "added 1.5"),
        ("debug", "added 2.0"),
        ("info", '{"count": 2}'),
    ]


def test_a_default_is_stored_with_the_run() -> None:
    assert run_of(Sum.enqueue(numbers=[])).kwargs == {"numbers": [], "start": 0}


def test_options_are_attributes() -> None:
    result = Divide.enqueue(a=7, b=2)
    run = run_of(result)
    assert (run.queue_name, run.priority, Divide.task.policy.timeout) == ("mail", 7, 30)
    assert executed(result).return_value == {"quotient": 3, "rest": 1}
    assert Divide.task.policy.max_attempts == 2


def test_a_failed_run_is_attempted_again() -> None:
    result = Divide.using(backoff=0).enqueue(a=1, b=0)
    assert "ZeroDivisionError" in failure(result)
    assert result.attempts == 2


def test_one_that_takes_too_long_is_stopped() -> None:
    result = Endless.enqueue()
    assert "taskworks.exceptions.TaskTimeout" in failure(result)


def test_what_using_changes_is_kept() -> None:
    result = Divide.using(queue_name="imports", priority=1).enqueue(a=1, b=1, unit="m")
    assert (run_of(result).queue_name, result.task.priority) == ("imports", 1)
    assert executed(result).is_finished


def test_one_without_inputs_and_outputs() -> None:
    assert executed(Nothing.enqueue()).return_value == {}


def test_as_the_seed_starts_it() -> None:
    assert executed(Sum().start({"numbers": [1]})).return_value == {"sum": 1.0}
    assert executed(Nothing.start()).return_value == {}


BAD = [
    ({}, {"numbers": ["This input is required."]}),
    (
        {"numbers": [1], "begin": 1},
        {"begin": ["There is no such input. Choose from: numbers, start."]},
    ),
    (
        {"numbers": ["x"], "start": -1},
        {
            "numbers": ["[0]: Input should be a valid number, unable to parse string as a number."],
            "start": ["Input should be greater than or equal to 0."],
        },
    ),
    (
        {"numbers": [1], "self": 1},
        {"self": ["There is no such input. Choose from: numbers, start."]},
    ),
]


@pytest.mark.parametrize(("inputs", "errors"), BAD, ids=repr)
def test_bad_inputs_are_refused_before_anything_is_stored(
    inputs: dict[str, Any], errors: dict[str, list[str]]
) -> None:
    for enqueue in (
        Sum.enqueue,
        Sum.task.enqueue,
        Sum.task.enqueue_on_commit,
        lambda **inputs: async_to_sync(partial(Sum.aenqueue, **inputs))(),
    ):
        with pytest.raises(InvalidInputs) as caught:
            enqueue(**inputs)
        assert caught.value.errors == errors
        assert not TaskRun.objects.exists()


def test_of_many_the_item_is_named() -> None:
    with refused(InvalidInputs, "item 1: numbers: This input is required."):
        Sum.task.enqueue_many([{"numbers": []}, {}])
    assert len(Sum.task.enqueue_many([{"numbers": [1]}, ([2], 3)])) == 2
    assert sorted(str(run.kwargs) for run in TaskRun.objects.all()) == [
        "{'numbers': [1.0], 'start': 0}",
        "{'numbers': [2.0], 'start': 3}",
    ]


@pytest.mark.parametrize(
    "value", ["a\0b", "\ud800", 2**63, [[2**70]], {"n": float("nan")}, "x" * 1024 * 1024], ids=str
)
def test_what_cannot_be_stored_is_a_bad_input(value: Any) -> None:
    with refused(InvalidInputs, "what: "):
        Bare.enqueue(what={"value": value})
    with refused(InvalidInputs, "what: "):
        Wrong.enqueue(what=value)


def test_inputs_that_are_too_large_together_name_the_largest() -> None:
    with refused(InvalidInputs, "the-rest: inputs takes 1,048,593 bytes"):
        Whatever.enqueue(n=1, **{"the-rest": ["x" * 1_048_570]})


def test_inputs_that_no_longer_fit_fail_the_run() -> None:
    result = default_task_backend.enqueue(Sum.task, [], {"numbers": ["x"]})
    assert failure(result).startswith("taskworks.exceptions.InvalidInputs: numbers: [0]: Input")


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (5, "outputs: Must be an object, not int."),
        (None, "n: This output is required."),
        ({}, "n: This output is required."),
        ({"n": "many"}, "n: Input should be a valid integer"),
        ({"n": 5.9}, "n: Input should be a valid integer"),
        ({"n": 1, "m": 2}, "m: There is no such output. Choose from: also, n."),
        ({"n": 1, "also": "\0"}, "also: A NUL character"),
        ({"n": 2**64}, "n: An integer of more than 64 bits"),
    ],
    ids=repr,
)
def test_what_does_not_fit_the_outputs_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, returned: Any, reason: str
) -> None:
    monkeypatch.setattr(Wrong, "run", lambda self, what: returned)
    assert failure(Wrong.enqueue(what=None)).startswith(
        f"taskworks.exceptions.InvalidOutputs: {reason}"
    )


def test_an_output_may_be_left_out() -> None:
    assert executed(Wrong.enqueue(what={"n": "6"})).return_value == {"n": 6}


@pytest.mark.parametrize("what", [{"a": 1}, {}, [1, 2], {"what": {"a": 1}}], ids=repr)
def test_one_output_may_be_returned_bare_an_object_too(what: Any) -> None:
    returned = executed(Bare.enqueue(what=what)).return_value
    assert returned == (what if what and "what" in what else {"what": what})


def test_a_row_is_an_input() -> None:
    order = Order.objects.create(number="A7")
    parcel = Parcel.objects.create(weight=3)
    at = datetime(2026, 5, 4, 3, 2, tzinfo=UTC)
    result = Note.enqueue(order=str(order.pk), parcel=str(parcel.pk), at="2026-05-04T03:02:00Z")
    same = Note.enqueue(order=order, parcel=parcel, at=at)
    stored = {"order": order.pk, "parcel": str(parcel.pk), "at": "2026-05-04T03:02:00Z"}
    assert run_of(result).kwargs == run_of(same).kwargs == stored
    returned = {"order": order.pk, "note": "2026-05-04 3"}
    assert executed(result).return_value == executed(same).return_value == returned
    assert run_of(Note.enqueue(order=order.pk, parcel=None, at=at)).kwargs["parcel"] is None


@pytest.mark.parametrize("key", [77, "77", 2**62])
def test_a_row_that_is_not_there_is_refused(key: Any) -> None:
    with refused(InvalidInputs, f"order: There is no order {key}."):
        ANote.enqueue(order=key)


@pytest.mark.parametrize("key", [2**63, "x", None, True, 5.5, [1], {}, "\0"], ids=repr)
def test_a_key_that_is_none_is_refused(key: Any) -> None:
    with refused(InvalidInputs, "order: "):
        ANote.enqueue(order=key)
    with refused(InvalidInputs, "parcel: "):
        Note.enqueue(order=1, at=datetime.now(UTC), parcel=key or "x")


def test_a_row_outside_of_the_queryset_is_refused() -> None:
    secret = Order.objects.create(number="A7", note="secret")
    with refused(InvalidInputs, "order: There is no order"):
        Note.enqueue(order=secret, at="2026-05-04T03:02:00Z")


def test_a_row_that_is_gone_fails_the_run() -> None:
    result = ANote.enqueue(order=Order.objects.create(number="A7"))
    Order.objects.all().delete()
    assert "InvalidInputs: order: There is no order" in failure(result)


def test_a_coroutine_function() -> None:
    order = Order.objects.create(number="A7")
    result = async_to_sync(ANote.aenqueue)(order=order)
    assert executed(result).return_value == {"number": "A7"}
    assert result.progress == 3


def test_a_parameter_of_a_projects_own() -> None:
    result = Pay.enqueue(amounts=["1.50", "2"], tip="0.5")
    assert run_of(result).kwargs == {"amounts": ["1.50", "2.00"], "tip": "0.50"}
    assert executed(result).return_value == {"total": "4.00"}
    with refused(InvalidInputs, "amounts: [0]: 1 is not money"):
        Pay.enqueue(amounts=[1])


# @task(typed=True)


def test_a_function_has_inputs_and_outputs() -> None:
    result = describe.enqueue(
        "Ada", "2", when="2026-05-04", size="l", kind="b", address={"street": "Main", "number": 1}
    )
    assert run_of(result).kwargs == {
        "name": "Ada",
        "count": 2,
        "when": "2026-05-04",
        "size": "l",
        "kind": "b",
        "share": "0.5",
        "address": {"street": "Main", "number": 1},
        "numbers": [1, 2],
    }
    assert executed(result).return_value == "Ada 2 2026-05-04 LARGE b 0.5 Main 3"
    assert executed(describe.enqueue(name="Bob")).return_value == "Bob 1 None SMALL a 0.5 None 3"


def test_bad_arguments_of_a_function_are_refused() -> None:
    with pytest.raises(InvalidInputs) as caught:
        describe.enqueue(
            count=1.5, when="May", size="m", kind="c", share=2, address={"number": 0}, x=1
        )
    assert sorted(caught.value.errors) == [
        "address",
        "count",
        "kind",
        "name",
        "share",
        "size",
        "when",
        "x",
    ]
    assert [error.partition(":")[0] for error in caught.value.errors["address"]] == [
        "['street']",
        "['number']",
    ]
    with refused(TypeError, "describe takes 8 inputs, but 9 were given."):
        describe.enqueue(*range(9))
    with refused(TypeError, "describe got the input 'name' twice."):
        describe.enqueue("a", name="b")


def test_a_function_may_take_a_context() -> None:
    order = Order.objects.create(number="A7")
    result = ordered.enqueue(order)
    assert executed(result).return_value == [order.pk]
    assert result.progress == 1


def test_a_model_arrives_as_it_was_accepted() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    shipment = declared.Shipment(sentAt=at, paid=Decimal("1.50"))
    for given in (shipment, {"sentAt": "2026-01-02T00:00:00Z", "paid": "1.50"}):
        result = declared.ship.enqueue(given)
        stored = {"sentAt": "2026-01-02T00:00:00Z", "paid": "1.50", "token": ""}
        assert run_of(result).kwargs == {"shipment": stored}
        assert executed(result).return_value == {**stored, "isPaid": True}


def test_a_secret_is_refused_and_nothing_is_stored() -> None:
    with pytest.raises(
        InvalidInputs, match=r"\['token'\]: A secret is not stored with a run."
    ) as caught:
        declared.ship.enqueue({"sentAt": "2026-01-02T00:00:00Z", "token": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert not TaskRun.objects.exists()


def test_a_functions_result_must_fit() -> None:
    assert "InvalidOutputs: result: Input should be a valid integer" in failure(
        declared.wrong.enqueue(1)
    )
    assert executed(declared.untyped_result.enqueue("2")).return_value == {"n": 2.0}


def test_a_function_is_called_here_and_now() -> None:
    assert declared.wrong.inputs is not None
    assert describe.call("Ada", count="3").startswith("Ada 3 None")
    assert Sum.task.call(numbers="4") == {"sum": 4.0}
    assert Sum().run([1.0], 2) == 3.0  # without a context, progress is ignored


# Other backends.


@pytest.mark.parametrize("alias", ["immediate"])
def test_a_typed_task_runs_anywhere(alias: str) -> None:
    order = Order.objects.create(number="A7")
    result = Sum.using(backend=alias).enqueue(numbers=["1"])
    assert (result.return_value, result.progress) == ({"sum": 1.0}, 1)
    assert ANote.using(backend=alias).enqueue(order=order).return_value == {"number": "A7"}
    assert ordered.using(backend=alias, queue_name="x").enqueue(order).return_value == [order.pk]
    failed = Wrong.using(backend=alias).enqueue(what=None)
    assert failed.status == TaskResultStatus.FAILED
    assert failed.errors[0].exception_class is not None
    with pytest.raises(InvalidInputs):
        Sum.using(backend="dummy").enqueue()


def test_a_run_in_a_child_process() -> None:
    result = Sum.using(executor="process").enqueue(numbers=[1, 2])
    assert executed(result).return_value == {"sum": 3.0}
    assert result.progress == 2


def test_a_uuid_is_shown_as_text() -> None:
    key = UUID(int=5)
    assert Note.inputs["parcel"].encoded(Parcel(id=key)) == str(key)
    assert describe.inputs is not None
    assert describe.inputs["share"].encoded(Decimal("0.10")) == "0.10"
