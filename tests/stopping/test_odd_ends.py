"""However a task ends, its attempt fails and its worker lives."""

import pytest

from tests.stopping import shelf
from tests.stopping.runs import error_of, wait_until, working

pytestmark = pytest.mark.django_db(transaction=True)

EXECUTORS = [
    (shelf.end_in_its_own_way, "thread"),
    (shelf.end_in_its_own_way_async, "async"),
    (shelf.end_in_its_own_way, "process"),
    (shelf.end_in_its_own_way_async, "process"),
]


@pytest.mark.parametrize(("task", "executor"), EXECUTORS)
def test_the_attempt_fails_and_the_worker_lives(task: object, executor: str) -> None:
    with working(threads=1, task_processes=1):
        results = {way: task.using(executor=executor).enqueue(way) for way in shelf.ENDS}
        for way, result in results.items():
            run = wait_until(result, "failed")
            assert (error_of(run), run.attempts) == (way, 1)
        after = shelf.sleep_briefly if executor != "async" else shelf.await_briefly
        wait_until(after.using(executor=executor).enqueue(0), "successful")


@pytest.mark.any_database
@pytest.mark.parametrize(("task", "executor"), EXECUTORS)
def test_it_may_be_tried_again(task: object, executor: str) -> None:
    with working(threads=1, task_processes=1):
        again = task.using(executor=executor, max_attempts=2, backoff=0)
        for result in [again.enqueue(way) for way in shelf.ENDS]:
            run = wait_until(result, "failed")
            assert (run.attempts, len(run.errors)) == (2, 2)
