"""What is kept of a result and of an exception."""

from typing import Any

import pytest

from taskworks.exceptions import TaskNotFound
from taskworks.execution.outcome import Succeeded, error_entry, success
from tests.behavior import Settings


class MuteError(Exception):
    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


class OddNotesError(Exception):
    @property
    def __notes__(self) -> Any:
        raise RuntimeError


class OddCauseError(Exception):
    @property
    def __cause__(self) -> Any:
        raise RuntimeError("no cause")


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def traceback_of(error: BaseException) -> str:
    return error_entry(raised(error))["traceback"]


class TestSuccess:
    def test_holds_what_will_be_read_back(self) -> None:
        assert success((1, (2,))) == Succeeded([1, [2]])

    def test_shares_nothing_with_what_was_returned(self) -> None:
        returned = [1]
        kept = success(returned)
        returned.append(2)
        assert kept.return_value == [1]

    @pytest.mark.parametrize(
        ("returned", "error"), [(object(), TypeError), ("\0", ValueError), (2**70, ValueError)]
    )
    def test_is_refused_to_what_is_no_json(self, returned: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match=r" at return_value\. "):
            success(returned)


class TestErrorEntry:
    @pytest.mark.parametrize(
        ("error", "path"),
        [
            (ValueError(), "builtins.ValueError"),
            (SystemExit(1), "builtins.SystemExit"),
            (MuteError(), f"{__name__}.MuteError"),
            (TaskNotFound("a.b", ImportError()), "taskworks.exceptions.TaskNotFound"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_has_the_path_of_the_class(self, error: BaseException, path: str) -> None:
        assert error_entry(error)["exception_class_path"] == path

    def test_has_the_traceback(self) -> None:
        text = traceback_of(ValueError("so it is"))
        assert text.startswith("Traceback (most recent call last):\n")
        assert "in raised" in text
        assert text.endswith("ValueError: so it is\n")

    def test_has_the_cause_too(self) -> None:
        error = ValueError("outer")
        error.__cause__ = raised(KeyError("inner"))
        text = traceback_of(error)
        assert text.index("KeyError: 'inner'") < text.index("ValueError: outer")

    def test_of_an_exception_never_raised_is_one_line(self) -> None:
        assert error_entry(ValueError("x"))["traceback"] == "ValueError: x\n"

    def test_of_a_group_has_its_members(self) -> None:
        text = traceback_of(ExceptionGroup("both", [ValueError("one"), KeyError("two")]))
        assert "ValueError: one" in text
        assert "KeyError: 'two'" in text

    @pytest.mark.parametrize("error", [MuteError(), OddNotesError(), OddCauseError()])
    def test_of_an_exception_that_cannot_be_printed_names_it(self, error: Exception) -> None:
        assert f"{__name__}.{type(error).__name__}" in traceback_of(error)

    def test_has_no_character_that_a_database_refuses(self) -> None:
        text = traceback_of(ValueError("nul \0 surrogate \ud800 ü \u2028"))
        assert text.endswith("ValueError: nul \\x00 surrogate \\ud800 ü \u2028\n")
        text.encode()

    def test_of_a_class_with_an_odd_name_is_cleaned(self) -> None:
        odd = type("OddError", (Exception,), {"__module__": "a\0"})
        odd.__qualname__ = "Odd\ud800Error"
        assert error_entry(odd())["exception_class_path"] == "a\\x00.Odd\\ud800Error"

    @pytest.mark.parametrize("module", [None, 5])
    def test_of_a_class_without_a_module_is_made_all_the_same(self, module: Any) -> None:
        odd = type("OddError", (Exception,), {"__module__": module})
        assert error_entry(odd())["exception_class_path"].endswith(".OddError")


class TestCut:
    def test_leaves_what_is_short(self, settings: Settings) -> None:
        text = traceback_of(ValueError("short"))
        settings.TASKWORKS = {"MAX_TRACEBACK_LENGTH": len(text)}
        assert "left out" not in traceback_of(ValueError("short"))

    @pytest.mark.parametrize("limit", [100, 101, 5000])
    def test_keeps_the_beginning_and_the_end(self, settings: Settings, limit: int) -> None:
        whole = error_entry(ValueError("x" * 9000 + "end"))["traceback"]
        settings.TASKWORKS = {"MAX_TRACEBACK_LENGTH": limit}
        text = error_entry(ValueError("x" * 9000 + "end"))["traceback"]
        assert len(text) < limit + 60
        assert text.startswith(whole[: limit // 2])
        assert text.endswith(whole[-(limit // 2) :])
        assert f"\n... {len(whole) - limit:,} characters left out ...\n" in text

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_may_leave_almost_nothing(self, settings: Settings, limit: int) -> None:
        settings.TASKWORKS = {"MAX_TRACEBACK_LENGTH": limit}
        assert len(error_entry(ValueError("x" * 9000))["traceback"]) < 100

    def test_counts_after_cleaning(self, settings: Settings) -> None:
        settings.TASKWORKS = {"MAX_TRACEBACK_LENGTH": 100}
        assert len(error_entry(ValueError("\0" * 99))["traceback"]) < 160
