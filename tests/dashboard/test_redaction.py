"""What looks like a secret is masked, wherever it is."""

from typing import Any

import pytest

from taskworks import task
from taskworks.dashboard.redaction import redacted
from taskworks.masking import MASK, is_secret, masked, outline
from taskworks.models import TaskRun

pytestmark = pytest.mark.any_database


@task
def pay(amount: int, card_number: str, *rest: str) -> None:
    """A task whose second argument is nobody's business."""


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "API_KEY",
        "apiKey",
        "accessToken",
        "Authorization",
        "cookie",
        "creditCard",
        "iban",
        "ssn",
        "SSN",
        "user_pin",
        "HTTP_COOKIE",
        "client_secret",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["author", "authors", "amount", "capital", "spinner", "keyword", "opinion", "passed"]
)
def test_names_of_nothing_secret(name: str) -> None:
    assert not is_secret(name)


def test_secrets_are_masked_at_any_depth() -> None:
    value = {"a": [{"b": {"token": ["x"], "c": 1}}], "secret": None}
    assert masked(value) == {"a": [{"b": {"token": MASK, "c": 1}}], "secret": None}
    nested: Any = "end"
    for _ in range(200):
        nested = [nested]
    assert "end" not in str(masked(nested))


def test_passwords_in_addresses_are_masked() -> None:
    assert masked("postgres://ann:hunter2@db:5432/x") == f"postgres://ann:{MASK}@db:5432/x"
    assert masked("write to ann@example.com") == "write to ann@example.com"


def test_positional_arguments_have_the_names_of_the_parameters() -> None:
    run = TaskRun(task_path=f"{__name__}.pay", args=[5, "4111", "a"], kwargs={})
    assert redacted(run, "args") == [5, MASK, "a"]
    run.args = [5, "4111"]
    run.task_path = "nowhere.at_all"
    assert redacted(run, "args") == [5, "4111"]


def hide(run: TaskRun, part: str, value: Any) -> Any:
    if part == "return_value":
        raise LookupError("of the project")
    return {"hidden": part, "masked": value}


def test_a_function_of_the_project_masks_more(settings: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "DASHBOARD_REDACT": f"{__name__}.hide"}
    run = TaskRun(task_path="x.y", kwargs={"token": "t", "n": 1}, return_value="abc")
    assert redacted(run, "kwargs") == {"hidden": "kwargs", "masked": {"token": MASK, "n": 1}}
    shown = redacted(run, "return_value")
    assert "LookupError" in shown
    assert "abc" not in shown


def test_an_outline_has_keys_and_types_only() -> None:
    assert outline({"a": [1, "x", None], "b": {"c": True}}) == {
        "a": ["(integer)", "(text)", "(null)"],
        "b": {"c": "(boolean)"},
    }
