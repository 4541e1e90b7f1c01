"""What is scheduled, and what cannot be."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from taskworks import task

Message = dict[str, Any]
heard: list[Any] = []


@task
def add(a: int = 1, b: int = 2) -> int:
    return a + b


def hear(message: Message) -> str:
    heard.append(message["task"].userdata.get("text"))
    return "heard"


async def hear_later(message: Message) -> str:
    heard.append(message["task"].userdata.get("text"))
    return "heard"


def count(message: Message) -> None:
    """Writes its userdata, as sisy's tasks do."""
    task = message["task"]
    task.userdata = {**task.userdata, "count": task.userdata.get("count", 0) + 1}
    task.save()


def of_another_name(event: Message) -> None:
    return None


def with_more(message: Message, loud: bool = False) -> None:
    return None


def of_none() -> None:
    return None


def of_two(message: Message, other: int) -> None:
    return None


def of_a_keyword(*, message: Message) -> None:
    return None


def traced(function: Callable[[Message], Any]) -> Callable[[Message], Any]:
    @wraps(function)
    def call(message: Message) -> Any:
        return function(message)

    return call


@traced
def wrapped(message: Message) -> str:
    return "wrapped"


def original(message: Message) -> str:
    return "original"


first, original = original, traced(original)


def outer() -> Callable[[Message], None]:
    def inner(message: Message) -> None:
        return None

    return inner


class Horn:
    """No model: only what needs no instance can be scheduled."""

    def blow(self, message: Message) -> None:
        return None

    def __call__(self, message: Message) -> None:
        return None

    @staticmethod
    def of_nobody(message: Message) -> str:
        return "of nobody"

    @classmethod
    def of_class(cls, message: Message) -> str:
        return cls.__qualname__

    @property
    def loud(self) -> bool:
        raise AssertionError("nobody has asked")

    class Mouthpiece:
        @staticmethod
        def of_nobody(message: Message) -> str:
            return "of nobody, nested"

        @classmethod
        def of_class(cls, message: Message) -> str:
            return cls.__qualname__


class Bugle(Horn):
    pass


anonymous: Callable[[Message], None] = lambda message: None  # noqa: E731 - what is refused
half = partial(of_two, other=1)
horn = Horn()
