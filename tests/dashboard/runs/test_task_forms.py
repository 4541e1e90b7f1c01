"""Forms for arguments: drawn from the inputs of typed tasks, and from functions."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from typing import Any, Literal

import pytest
from django.utils import timezone

from taskworks import task
from taskworks.dashboard.runs.task_forms import TaskForm, form_of, form_of_call
from taskworks.exceptions import InvalidInputs

pytestmark = pytest.mark.any_database


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


@task(typed=True)
def ship(  # noqa: PLR0917 - an input of each kind
    order: int,
    address: str,
    day: date,
    size: Size,
    mode: Literal["air", "sea"] = "air",
    fragile: bool = False,
    at: datetime | None = None,
    lines: list[dict[str, int]] | None = None,
) -> None: ...


@task
def plain(path: str, count: int = 3, *more: Any, deep: Any = None, **rest: Any) -> None: ...


@task
def placed(first: Any, /, second: bool) -> None: ...


def entered(form: TaskForm, **texts: str) -> tuple[list[Any], dict[str, Any]]:
    return form.bound({f"input.{name}": text for name, text in texts.items()}).arguments()


def errors_of(form: TaskForm, **texts: str) -> dict[str, list[str]]:
    with pytest.raises(InvalidInputs) as refused:
        entered(form, **texts)
    return refused.value.errors


def test_the_fields_of_a_typed_task() -> None:
    fields = {field.name: field for field in form_of(ship)}

    drawn = {
        name: (field.widget, field.input_type, field.required) for name, field in fields.items()
    }
    assert drawn == {
        "order": ("number", "text", True),
        "address": ("lines", "text", True),
        "day": ("line", "date", True),
        "size": ("choice", "text", True),
        "mode": ("choice", "text", False),
        "fragile": ("choice", "text", False),
        "at": ("line", "datetime-local", False),
        "lines": ("json", "text", False),
    }
    assert fields["size"].choices == (('"s"', "s"), ('"l"', "l"))
    assert fields["fragile"].default_in_words == "false"
    assert [name for name, field in fields.items() if field.must_be_filled] == [
        "order",
        "day",
        "size",
    ]


def test_what_was_entered_for_a_typed_task() -> None:
    args, kwargs = entered(
        form_of(ship),
        order="5",
        address="Main St 1\r\nSpringfield",
        day="2026-12-24",
        size='"l"',
        fragile="true",
        at="2026-12-24T18:30",
        lines='[{"a": 1}]',
    )

    assert args == []
    local = timezone.make_aware(datetime(2026, 12, 24, 18, 30))
    assert kwargs == {
        "order": 5,
        "address": "Main St 1\nSpringfield",
        "day": "2026-12-24",
        "size": "l",
        "fragile": True,
        "at": local.isoformat(),
        "lines": [{"a": 1}],
    }
    assert ship.typed
    assert ship.typed.encoded(args, kwargs)["size"] == "l"


def test_each_field_says_what_is_wrong() -> None:
    errors = errors_of(
        form_of(ship), order="five", address="", day="", size="xl", lines="[1", fragile="maybe"
    )

    assert errors["order"] == ["Enter a number, not 'five'."]
    assert errors["day"] == ["Enter a value."]
    assert errors["size"] == errors["fragile"] == ["Choose one of the values that are offered."]
    assert "Enter a JSON value, not '[1': text is in double quotes" in errors["lines"][0]
    assert "address" not in errors  # a text may be empty


def test_a_function_is_called_as_its_signature_says() -> None:
    form = form_of(plain)

    assert [field.name for field in form] == ["path", "count", "*args", "deep", "**kwargs"]
    assert entered(form, path="a b") == (["a b"], {})
    assert entered(form, path="x", count="4", **{"*args": "[5, 6]"}) == (["x", 4, 5, 6], {})
    assert entered(form, path="x", deep='{"a": null}', **{"**kwargs": '{"b": 1}'}) == (
        ["x"],
        {"deep": {"a": None}, "b": 1},
    )
    assert entered(form_of(placed), first='"1"', second="false") == (["1"], {"second": False})


def test_what_a_function_cannot_be_called_with() -> None:
    form = form_of(plain)

    assert "because others follow it" in errors_of(form, path="x", **{"*args": "[5]"})["count"][0]
    assert (
        "a field of its own"
        in errors_of(form, path="x", **{"**kwargs": '{"deep": 1}'})["**kwargs"][0]
    )
    assert errors_of(form, path="x", **{"*args": "{}"})["*args"] == [
        "Enter a JSON array, such as [1, 2]."
    ]
    assert "JSON object" in errors_of(form, path="x", **{"**kwargs": "[]"})["**kwargs"][0]
    assert errors_of(form_of(placed), second="true")["first"] == ["Enter a value."]


@pytest.mark.parametrize("text", ["NaN", "[" * 100_000, "9" * 5000, "\x00", '"\\ud800"', "{1: 2}"])
def test_what_is_not_json(text: str) -> None:
    errors_or_value: Any = None
    try:
        errors_or_value = entered(form_of(placed), first=text, second="true")
    except InvalidInputs as refused:
        errors_or_value = refused.errors["first"]
    assert errors_or_value


def test_a_call_that_is_left_as_it_is() -> None:
    kwargs = {
        "order": 5,
        "address": "a\nb",
        "day": "2026-12-24",
        "size": "l",
        "at": "2026-12-24T18:30:00.123456+09:00",
    }

    form = form_of_call(ship, [], kwargs, ([], kwargs))
    texts = {field.name: field.text for field in form}

    assert texts["address"] == "a\nb"
    assert entered(form, **texts) == ([], kwargs)
    assert entered(form, **{**texts, "order": "6"}) == ([], {**kwargs, "order": 6})


def test_a_hidden_value_is_kept_unless_another_is_entered() -> None:
    form = form_of_call(placed, ["secret"], {"second": True}, (["****"], {"second": True}))

    assert "secret" not in repr([field.text for field in form])
    texts = {field.name: field.text for field in form}
    assert entered(form, **texts) == (["secret"], {"second": True})
    assert entered(form, **{**texts, "first": '"new"'}) == (["new"], {"second": True})


@pytest.mark.parametrize("shown", [("hidden", None), ([], {}), ({"a": 1}, [2])])
def test_arguments_of_which_nothing_may_be_seen(shown: tuple[Any, Any]) -> None:
    form = form_of_call(placed, ["secret"], {"second": True}, shown)

    texts = {field.name: field.text for field in form}
    assert texts == {"first": '"********"', "second": '"********"'}
    assert entered(form, **texts) == (["secret"], {"second": True})


def test_a_call_that_the_task_does_not_accept_any_more() -> None:
    form = form_of_call(placed, [1, 2, 3], {"gone": 4}, ([1, 2, 3], {"gone": 4}))

    assert [field.name for field in form] == ["*args", "**kwargs"]
    texts = {field.name: field.text for field in form}
    assert entered(form, **texts) == ([1, 2, 3], {"gone": 4})


def test_a_positional_argument_stays_one() -> None:
    form = form_of_call(plain, ["x", 7], {}, (["x", 7], {}))

    texts = {field.name: field.text for field in form}
    assert entered(form, **{**texts, "count": "8"}) == (["x", 8], {})
