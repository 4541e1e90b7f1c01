"""How a rate is computed from marks."""

from pathlib import Path

import pytest

from benchmarks import marks
from benchmarks.client import NotMeasuredError
from benchmarks.marks import Mark
from benchmarks.measures.drain import rate_of

pytestmark = pytest.mark.any_database


def left_by(*pids: int, tasks: int = 100) -> list[Mark]:
    """Return one mark per hundredth of a second, from the processes in turns."""
    return [Mark(n / 100, n, pids[n % len(pids)]) for n in range(tasks)]


def test_a_mark_is_read_back(tmp_path: Path) -> None:
    path = str(tmp_path / "marks")
    marks.empty(path)
    marker = marks.Marker(path)
    for number in range(3):
        marker(number)
    assert marks.count(path) == 3
    assert [mark.number for mark in marks.read(path)] == [0, 1, 2]


def test_time_begins_when_a_tenth_is_executed_and_ends_when_all_are_stored() -> None:
    assert rate_of(left_by(7), 100, 1, end=1.1) == pytest.approx(89)


def test_time_begins_when_the_last_worker_has_begun() -> None:
    left = [*left_by(7, tasks=50), *(Mark(0.5 + n / 100, 50 + n, 8) for n in range(50))]
    assert rate_of(left, 100, 2, end=1.5) == pytest.approx(49)


@pytest.mark.parametrize(
    ("left", "workers", "reason"),
    [
        (left_by(7)[1:], 1, "lost"),
        (left_by(7), 2, "only 1 of 2 workers"),
        ([*left_by(7, tasks=90), *(Mark(1 + n, 90 + n, 8) for n in range(10))], 2, "only 9"),
    ],
)
def test_what_says_nothing_is_not_measured(left: list[Mark], workers: int, reason: str) -> None:
    with pytest.raises(NotMeasuredError, match=reason):
        rate_of(left, 100, workers, end=2)
