"""The database connections of a task that was interrupted."""

import pytest
from django.db import connection

from tests.stopping import shelf
from tests.stopping.runs import cancel_under_way, error_of, wait_until, working

pytestmark = pytest.mark.django_db(transaction=True)


def test_are_replaced_for_the_next_run_in_its_thread() -> None:
    with working(threads=1):
        before = wait_until(shelf.backend_pid.enqueue(), "successful").return_value
        for _ in range(5):
            cancel_under_way(shelf.query_for_ever.enqueue())
            after = wait_until(shelf.backend_pid.enqueue(), "successful").return_value
            assert connection.vendor == "sqlite" or after != before
            before = after


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite cannot sleep")
def test_are_replaced_even_if_a_query_is_under_way() -> None:
    """The drivers, which are written in C, let an interruption through when the query ends."""
    with working(threads=1) as worker:
        before = wait_until(shelf.backend_pid.enqueue(), "successful").return_value
        result = shelf.sleep_in_the_database.using(timeout=0.3).enqueue(1)
        assert error_of(wait_until(result, "failed")) == "TaskTimeout"
        after = wait_until(shelf.backend_pid.enqueue(), "successful").return_value
        assert after != before
        assert not worker.wants_restart
