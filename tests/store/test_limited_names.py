"""Which limits have ready runs, of which backends, queues and executors: what a look finds."""

from collections.abc import Callable, Iterable
from itertools import product

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks.models import TaskRun
from taskworks.store import Store
from taskworks.store.limited_names import FIRST_NAME, LimitedName
from tests.new_runs import new_runs

Fill = Callable[[Iterable[LimitedName]], list[LimitedName]]


@pytest.fixture
def fill(store: Store) -> Fill:
    """Enqueue two runs for each name; return the names in order."""

    def fill(names: Iterable[LimitedName]) -> list[LimitedName]:
        names = sorted(names)
        for name in names:
            columns = {
                "backend": name.backend,
                "queue_name": name.queue,
                "executor": name.executor,
                "limit_name": name.limit,
            }
            store.enqueue(new_runs(lanes=["a", "b"], **columns))
        return names

    return fill


def every(*values: str) -> list[LimitedName]:
    """Every combination of these letters, each string being those of one place."""
    return [*map(LimitedName._make, product(*values))]


def statements(do: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        do()
    return len(captured)


def test_each_name_is_found_once_and_in_order(store: Store, fill: Fill) -> None:
    assert store.limited_names() == []
    names = fill([*every("ab", "xy", "mn", "pt"), LimitedName("c", "x", "n", "t")])
    assert store.limited_names() == names
    assert [*store.every_limited_name()] == names


def test_what_is_not_ready_or_has_no_limit_has_no_name(store: Store, fill: Fill) -> None:
    store.enqueue(new_runs(3))
    first, second, third = fill(every("abc", "x", "m", "t"))
    TaskRun.objects.filter(limit_name="a").update(state="running")
    TaskRun.objects.filter(limit_name="c").update(state="scheduled")
    assert store.limited_names(known=[first, third]) == [second]


def test_they_can_be_read_part_by_part(store: Store, fill: Fill) -> None:
    names = fill(every("abc", "xy", "mn", "pt"))
    for size in (1, 3, 24, 25):
        found, after = list[LimitedName](), FIRST_NAME
        while part := store.limited_names(after, size, known=names[::2]):
            assert len(part) <= size
            found, after = found + part, part[-1]
        assert found == names
    assert store.limited_names(LimitedName("b", "x", "", ""), 2) == names[8:10]
    assert store.limited_names(LimitedName("b", "x", "m", "q"), 2) == names[9:11]


def test_what_was_known_and_has_gone_is_not_found_and_what_is_new_is(
    store: Store, fill: Fill
) -> None:
    gone = every("ac", "x", "mo", "p")
    new = fill(every("bd", "wx", "n", "pt"))
    assert store.limited_names(known=gone) == new
    assert store.limited_names(known=[*gone, new[3], new[5]]) == new


@pytest.mark.parametrize("number", [1, 5, 20])
def test_one_statement_finds_those_that_are_known(store: Store, fill: Fill, number: int) -> None:
    names = fill(every([*map("{:02}".format, range(number))], "x", "mn", "t"))  # type: ignore[arg-type]
    known = names[:40]
    assert statements(lambda: store.limited_names(FIRST_NAME, 40, known)) == 1
    assert statements(lambda: store.limited_names(names[0], 39, known)) == 1
    if connection.vendor != "mysql":
        assert statements(lambda: store.limited_names(FIRST_NAME, 40)) == 1


def test_nothing_is_found_by_one_statement(store: Store) -> None:
    assert statements(store.limited_names) == 1


def test_names_with_any_characters_are_found(store: Store, fill: Fill) -> None:
    odd = ["'", "%s", "Z", "\\", "a", "ä", "🙂"]
    names = {*fill(LimitedName(one, one[:64], one, "thread") for one in odd)}
    found = store.limited_names()
    assert ({*found}, len(found)) == (names, len(odd))
    assert store.limited_names(known=found) == found
    assert store.limited_names(found[2], known=found) == found[3:]
