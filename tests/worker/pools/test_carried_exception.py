"""An exception of a child process is the same in the worker, whatever its class does."""

import pickle
import traceback
from typing import Any

import pytest

from taskworks.exceptions import InvalidInputs, TaskCancelled, TaskNotFound
from taskworks.worker.pools.carried_exception import CarriedException, restored
from tests.execution.test_outcome import MuteError, OddCauseError, OddNotesError, raised


class NeedsTwoError(Exception):
    def __init__(self, one: int, two: Any) -> None:
        super().__init__(one)
        self.two = two


class TalksError(OSError):
    def __str__(self) -> str:
        return f"code {self.errno}"


class Watching(type):
    pass


class WatchedError(Exception, metaclass=Watching):
    pass


class KeptError(Exception):
    """Nobody may derive from it."""

    def __init_subclass__(cls) -> None:
        raise SystemExit


def unknown() -> BaseException:
    class LocalError(LookupError):
        pass

    return LocalError("who?")


def carried(error: BaseException) -> BaseException:
    sent: Any = pickle.loads(pickle.dumps(CarriedException(error)))
    assert isinstance(sent, BaseException)
    return sent


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        ValueError(),
        KeyError("x"),
        SystemExit(3),
        FileNotFoundError(2, "none"),
        NeedsTwoError(1, object()),
        TaskCancelled("stop"),
        KeptError("kept"),
        WatchedError("watched"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_is_of_the_same_class_if_that_has_no_text_of_its_own(error: BaseException) -> None:
    there = carried(error)
    assert (type(there), there.args, str(there)) == (type(error), error.args, str(error))


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "none", "a.txt"),
        TalksError(5, "x"),
        InvalidInputs({"a": ["b"]}),
        TaskNotFound("a.b", ImportError("c")),
        ValueError(object()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_is_else_of_a_class_derived_from_it(error: BaseException) -> None:
    there = carried(error)
    assert isinstance(there, type(error))
    assert type(there).__name__ == type(error).__name__
    assert str(there) == str(error)


@pytest.mark.parametrize("error", [KeptError(object()), WatchedError(object()), unknown()])
def test_has_the_name_of_a_class_that_cannot_be_had(error: BaseException) -> None:
    there = carried(error)
    assert type(there).__qualname__ == type(error).__qualname__
    assert type(there).__module__ == type(error).__module__
    assert str(there) == str(error)


@pytest.mark.parametrize("error", [MuteError(), OddNotesError(), OddCauseError()])
def test_is_there_whatever_its_class_does(error: BaseException) -> None:
    assert type(error).__name__ in f"{type(carried(raised(error))).__name__} {carried(error)}"


def test_has_the_frames_and_can_be_raised_again() -> None:
    error = raised(ValueError("x"))
    there = carried(error)
    names = [
        (f.name, f.filename, f.lineno, f.line) for f in traceback.extract_tb(there.__traceback__)
    ]
    assert names == [
        (f.name, f.filename, f.lineno, f.line) for f in traceback.extract_tb(error.__traceback__)
    ]
    assert raised(there) is there


def test_has_a_bounded_chain_and_no_circle() -> None:
    first, second = ValueError("1"), ValueError("2")
    first.__context__, second.__context__ = second, first
    there = carried(first)
    assert str(there.__context__) == "2"
    assert there.__context__.__context__ is None


def test_of_what_is_no_description_is_an_exception_still() -> None:
    described = CarriedException(ValueError("x")).described
    object.__setattr__(described, "frames", "nonsense")
    assert str(restored(described)) == "builtins.ValueError: x"
