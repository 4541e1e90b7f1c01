"""Tasks that are unique and have a limit."""

import pytest

from taskworks import Unique
from taskworks.models import TaskRun
from tests import limited
from tests.behavior import run_of, run_worker

pytestmark = pytest.mark.django_db(transaction=True)

by_path = limited.import_file.using(unique=Unique("path", on_conflict="replace"))
by_tenant = limited.import_file.using(unique=Unique("tenant", on_conflict="supersede"))


def test_a_replaced_run_is_in_the_lane_of_its_new_arguments() -> None:
    first = by_path.enqueue("acme", "x")
    assert run_of(first).lane == limited_lane("acme")
    second = by_path.enqueue("globex", "x")
    assert second.id == first.id
    run = run_of(first)
    assert (run.args, run.lane) == (["globex", "x"], limited_lane("globex"))


def test_a_replaced_run_has_the_limit_of_the_new_one() -> None:
    first = by_path.enqueue("acme", "x")
    assert by_path.using(limit="rotation").enqueue("acme", "x").id == first.id
    assert run_of(first).limit_name == "rotation"


def test_of_many_each_is_in_its_lane() -> None:
    tenants = ["acme", "globex", "acme", "initech", "globex"]
    results = by_tenant.enqueue_many([(tenant, str(n)) for n, tenant in enumerate(tenants)])
    assert len({result.id for result in results}) == 3
    runs = TaskRun.objects.exclude(state="cancelled")
    assert {run.args[0]: run.lane for run in runs} == {
        tenant: limited_lane(tenant) for tenant in {*tenants}
    }
    run_worker()
    assert {run_of(result).state for result in results} == {"successful"}


def limited_lane(tenant: str) -> str:
    """The lane of a run that is not unique."""
    return str(run_of(limited.import_file.enqueue(tenant)).lane)
