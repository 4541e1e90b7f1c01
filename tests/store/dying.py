"""A process that enqueues a run under the key "a", and waits at a point until it is killed."""

import sys

import django

POINTS = ("before the run", "before the commit")


def main(point: str) -> None:
    django.setup()
    from django.db import transaction

    from taskworks.options.unique import Unique
    from taskworks.store import store
    from taskworks.store.new_runs import NewRuns
    from taskworks.store.unique_runs import Call
    from tests.new_runs import new_runs
    from tests.unique import SUPERSEDED, key_of

    def insert(new: NewRuns) -> None:
        if point == POINTS[0]:
            wait_to_be_killed()
        store().enqueue(new)

    with transaction.atomic():
        call = Call(new_runs(), [key_of("a")], Unique(), SUPERSEDED)
        store().enqueue_unique(call, insert)
        wait_to_be_killed()


def wait_to_be_killed() -> None:
    print("here", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
