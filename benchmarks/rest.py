"""
The cost of the REST API on PostgreSQL, and how soon a browser sees progress:
``python -m benchmarks.rest``, with the settings of the tests.

It compares a request that starts a typed task with a handwritten view that validates the same
inputs with a serializer and enqueues. It also measures the time from ``set_progress`` in a worker
process until the ASGI server gets the event.
"""

import os
import subprocess
import sys
import tempfile
import time
from statistics import median, quantiles

REQUESTS, ROUNDS = 200, 9
STEPS, STREAMS = 100, 20


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="taskworks-bench-") as files:
        os.environ |= {
            "TASKWORKS_TEST_DATABASE": "postgresql",
            "TASKWORKS_TEST_FILES": files,
            "TASKWORKS_TEST_PREFIX": os.environ.get("TASKWORKS_TEST_PREFIX", "bench_rest"),
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings_of_rest",
        }
        import django

        django.setup()
        from django.db import connection, connections

        name = connection.creation.create_test_db(verbosity=0, autoclobber=True)
        os.environ["PGDATABASE"] = name
        try:
            measure_starts()
            measure_events()
        finally:
            connections.close_all()
            connection.creation.destroy_test_db(name, verbosity=0)


def measure_starts() -> None:
    from django.contrib.auth.models import User
    from rest_framework.test import APIClient

    client = APIClient()
    client.force_authenticate(User.objects.create_user("ann"))
    body = {"text": "text", "number": 7, "flag": True}
    requests = {
        "POST /tasks/": ("/tasks/", {"task": "three", "inputs": body}),
        "by hand": ("/by-hand/", body),
    }
    costs: dict[str, list[float]] = {name: [] for name in requests}
    for round_ in range(ROUNDS + 1):
        for name, (path, data) in requests.items():
            started = time.perf_counter()
            for _ in range(REQUESTS):
                assert client.post(path, data, format="json").status_code == 201
            if round_:  # the first warms up
                costs[name].append((time.perf_counter() - started) / REQUESTS)
    ours, by_hand = (median(each) for each in costs.values())
    print(
        f"POST /tasks/ {ours * 1e3:.2f} ms, by hand {by_hand * 1e3:.2f} ms: "
        f"{ours / by_hand:.2f} times (medians of {ROUNDS} rounds of {REQUESTS})"
    )


def measure_events() -> None:
    from django.contrib.auth.models import User

    from taskworks.rest.events.hub import hub
    from tests.rest.browsers import browsing
    from tests.waiting import wait_for

    worker = subprocess.Popen(
        [sys.executable, "manage.py", "taskworks", "worker", "--queues", "default"],
        env={**os.environ},
        stdout=subprocess.DEVNULL,
    )
    try:
        from benchmarks.tasks_of_rest import Steps

        owner = User.objects.get()
        runs = [Steps.using(owner=owner).enqueue(steps=STEPS) for _ in range(STREAMS)]
        with browsing() as browser:
            readings = [browser.open(f"/tasks/{run.id}/events/") for run in runs]
            wait_for(lambda: all(each.is_over for each in readings), "all have ended", 120)
        latencies = [late for each in readings for late in each.latencies]
        hub.stop()
    finally:
        worker.terminate()
        worker.wait()
    p95 = quantiles(latencies, n=20)[-1]
    print(
        f"from set_progress to the event: p50 {median(latencies):.0f} ms, p95 {p95:.0f} ms, "
        f"at most {max(latencies):.0f} ms ({len(latencies)} events of {STREAMS} streams)"
    )


if __name__ == "__main__":
    main()
