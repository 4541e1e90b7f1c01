"""What was raised, read from a stored traceback."""

from collections.abc import Callable

import pytest

from taskworks.execution.outcome import error_entry
from taskworks.tracebacks import message_of, shortened, summary_of


class UnluckyError(Exception):
    pass


def raised(raise_it: Callable[[], None]) -> tuple[str, str]:
    """The path and the traceback that are stored of it."""
    try:
        raise_it()
    except BaseException as error:
        entry = error_entry(error)
        return entry["exception_class_path"], entry["traceback"]
    raise AssertionError("it raises nothing")


def plainly() -> None:
    raise ValueError("no luck")


def without_message() -> None:
    raise ValueError


def in_lines() -> None:
    raise UnluckyError("no luck:\nA7")


def from_another() -> None:
    try:
        raise ValueError("the cause")
    except ValueError as error:
        raise ValueError("no luck") from error


def together() -> None:
    error = ExceptionGroup("both", [ValueError("one\nmore"), ExceptionGroup("in", [KeyError(2)])])
    error.add_note("on Monday")
    raise error


def together_from_another() -> None:
    try:
        raise ExceptionGroup("the cause", [ValueError("one")])
    except* ValueError as error:
        raise ExceptionGroup("both", [KeyError("two")]) from error


def alone_after_some() -> None:
    try:
        raise ExceptionGroup("the cause", [ValueError("one")])
    except ExceptionGroup as error:
        raise ValueError("no luck") from error


@pytest.mark.parametrize(
    ("raise_it", "message", "summary"),
    [
        (plainly, "no luck", "ValueError: no luck"),
        (without_message, "", "ValueError"),
        (in_lines, "no luck:\nA7", "UnluckyError: no luck:"),
        (from_another, "no luck", "ValueError: no luck"),
        (
            together,
            "both (2 sub-exceptions)\non Monday",
            "ExceptionGroup: both (2 sub-exceptions)",
        ),
        (
            together_from_another,
            "both (1 sub-exception)",
            "ExceptionGroup: both (1 sub-exception)",
        ),
        (alone_after_some, "no luck", "ValueError: no luck"),
    ],
)
def test_it_ends_with_what_was_raised(
    raise_it: Callable[[], None], message: str, summary: str
) -> None:
    error = raised(raise_it)
    assert message_of(*error) == message
    assert summary_of(*error) == summary
    path, traceback = error
    assert summary_of(path, shortened(path, traceback)) == summary


def test_what_is_left_out_is_not_made_up() -> None:
    path, traceback = raised(together)
    end = traceback[traceback.index("| ValueError: one") :]
    assert message_of(path, end) == "KeyError: 2"
    assert message_of("shop.OutOfStock", "") == ""
    assert summary_of("shop.OutOfStock", "  +------\n") == "OutOfStock"
