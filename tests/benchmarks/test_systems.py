"""What a system cannot do is said, and the rest is there."""

import pytest

from benchmarks.place import Place
from benchmarks.systems import ALL
from benchmarks.systems.system import ASYNC, IN_BULK, IN_TRANSACTIONS, ONE_BY_ONE, System

pytestmark = pytest.mark.any_database

METHODS = {
    ONE_BY_ONE: "enqueue",
    IN_TRANSACTIONS: "enqueue_in_transactions",
    ASYNC: "enqueue_async",
    IN_BULK: "enqueue_many",
}


@pytest.mark.parametrize("measure", METHODS)
@pytest.mark.parametrize("system", ALL, ids=lambda system: system.name)
def test_a_system_has_a_call_for_each_measure_or_a_reason(
    system: type[System], measure: str
) -> None:
    for store in system.stores:
        lacks = system(Place(system=system.name, store=store, files="")).lacks
        method = METHODS[measure]
        assert (measure in lacks) or getattr(system, method) is not getattr(System, method)
        assert all(reason.endswith(".") for reason in lacks.values())
