"""Every way to put steps, groups and workflows into each other, three levels deep."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, product
from typing import Any

from taskworks import Workflow
from tests.workflows.tasks import step


@dataclass(frozen=True)
class One:
    def __str__(self) -> str:
        return "one"


@dataclass(frozen=True)
class Group:
    size: int

    def __str__(self) -> str:
        return f"group{self.size}"


@dataclass(frozen=True)
class Nested:
    """A workflow of two parts: the second follows the first, or they run side by side."""

    first: "Shape"
    second: "Shape"
    in_turn: bool

    def __str__(self) -> str:
        return f"({self.first}{'-' if self.in_turn else '+'}{self.second})"


Shape = One | Group | Nested

LEAVES: list[Shape] = [One(), Group(0), Group(1), Group(2)]


def shapes(depth: int) -> list[Shape]:
    if depth == 1:
        return LEAVES
    lower = shapes(depth - 1)
    others = LEAVES if depth == 2 else LEAVES[:2]
    pairs = [*product(lower, others), *product(others, lower)]
    return [Nested(*pair, in_turn) for pair in dict.fromkeys(pairs) for in_turn in (True, False)]


class Built:
    """The workflow of a shape with two followers, and what is to become of it."""

    def __init__(self, shape: Shape, on_failure: str = "wait") -> None:
        self._labels = map(str, count(1))
        self.flow = Workflow("shape", on_failure=on_failure)
        self._before: dict[str, list[str]] = {}
        ends, labels = self._add(self.flow, "it", shape, [], None)
        self.flow.add("then", step, "then", after="it")
        self.flow.add("at last", step, "at last", after="it", any_end=True)
        self.labels = labels
        self._before["then"] = ends

    def expected(self, failing: str) -> set[str]:
        """Which steps are executed if this one fails."""
        done: set[str] = {"at last"}
        for label, before in self._before.items():
            if all(one in done and one != failing for one in before):
                done.add(label)
        return done

    def _add(
        self, flow: Workflow, name: str, shape: Shape, before: list[str], after: Any
    ) -> tuple[list[str], list[str]]:
        """Add a shape; return which labels must succeed for it to, and its labels."""
        match shape:
            case One():
                [label] = self._new(1, before)
                flow.add(name, step, label, after=after)
                return [label], [label]
            case Group(size):
                labels = self._new(size, before)
                flow.each(name, step, [[label] for label in labels], after=after)
                return labels or before, labels
            case Nested(first, second, in_turn):
                inner = Workflow("inner")
                ends, labels = self._add(inner, "first", first, before, None)
                then = ends if in_turn else before
                more, others = self._add(
                    inner, "second", second, then, "first" if in_turn else None
                )
                flow.add(name, inner, after=after)
                return [*ends, *more], [*labels, *others]

    def _new(self, number: int, before: list[str]) -> list[str]:
        labels = [next(self._labels) for _ in range(number)]
        self._before |= dict.fromkeys(labels, before)
        return labels


def cases(stride: int, first: int = 0) -> Iterator[tuple[Shape, str]]:
    """Shapes, and a step of each that fails, or none."""
    every = (
        (shape, failing)
        for depth in (1, 2, 3)
        for shape in shapes(depth)
        for failing in ["", *Built(shape).labels]
    )
    yield from (case for place, case in enumerate(every) if place % stride == first)
