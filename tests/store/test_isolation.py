"""Whatever isolation level a project has, a worker's statements see what was committed."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from taskworks.database.connections import reserved_connection
from taskworks.models import Limit, TaskRun
from taskworks.store import Store
from taskworks.store.limiting import LimitedClaim, Line
from tests.connections import elsewhere
from tests.new_runs import new_runs

pytestmark = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writer, which sees everything."
)

LINE = Line("of lanes", "default", ("default",), "thread")
LEVELS: dict[str, list[Any]] = {"postgresql": [3, 4], "mysql": ["repeatable read", "serializable"]}


@pytest.fixture(params=LEVELS.get(connection.vendor, []))
def _level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of new connections."""
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", request.param)


@pytest.mark.usefixtures("_level")
def test_a_claim_counts_what_was_claimed_before_it_had_the_lock(
    store: Store, new_worker: Callable[[], UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other claims the only slot after our transaction has begun, and just before our lock."""
    numbers = {"at_once": 1, "total": None}
    # That the turn stays where it is, so that the other's claim does not write the limit's row.
    turns = {"default thread": "a"}
    Limit.objects.create(name="of lanes", declared=numbers, turns=turns, **numbers)
    store.enqueue(new_runs(lanes=["a", "a"], limit_name="of lanes"))
    one, other = new_worker(), new_worker()
    claims: list[LimitedClaim] = []
    lock = Store._locked_limit

    def lock_after_the_other(self: Store, name: str) -> Limit | None:
        if not claims:
            claims.append(LimitedClaim([], may_have_more=True))  # the other one locks at once
            claims.append(elsewhere(lambda: claim(store, one)))
        return lock(self, name)

    monkeypatch.setattr(Store, "_locked_limit", lock_after_the_other)
    assert elsewhere(lambda: claim(store, other)).runs == []
    assert [len(one.runs) for one in claims] == [0, 1]
    assert TaskRun.objects.in_hand().count() == 1


def claim(store: Store, worker: UUID) -> LimitedClaim:
    """As a worker does, in a connection of its own."""
    with reserved_connection(store.alias):
        return store.claim_limited(worker, LINE, 1)
