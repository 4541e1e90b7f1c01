"""What the faces read, for ``benchmarks.reads``: each page, list and command by a name."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from django.utils.http import urlencode

from taskworks.dashboard.history import forget_history
from taskworks.dashboard.queue_lines import forget_depths
from taskworks.dashboard.runs.list_page import ORDER, forget_counts
from taskworks.dashboard.snapshot import forget_snapshot
from taskworks.models import RunState, TaskRun, Workflow
from taskworks.prometheus import collector
from tests.rest.signing import HEADER

STAFF, OWNER = "root", "owner"
GROUP = f"{1:016d}"
A_TASK, A_QUEUE, NOTHING = "shop.tasks.task_7", "queue 1", "nothing"
MOST_OF_PAGE, MOST_OF_FRAGMENT = 12, 4  # statements on our tables

Ask = Callable[[], HttpResponseBase]


class Read(NamedTuple):
    """
    Something to read, and how many statements that may take if what pages share was read already;
    None if that has no bound.
    """

    face: str
    name: str
    ask: Ask
    most: int | None = MOST_OF_PAGE


def reads() -> Iterator[Read]:
    """Yield everything that is read over HTTP."""
    for name, address in dashboard_pages().items():
        yield Read("dashboard", name, _page(address))
        if name in LIVE:
            yield Read("fragment", name, _page(address, {"HX-Request": "true"}), MOST_OF_FRAGMENT)
    yield Read("prometheus", "metrics", _metrics, None)
    for name, (user, address) in rest_lists().items():
        yield Read("rest", name, _page(address, {HEADER: user}))
    for name, address in admin_lists().items():
        yield Read("admin", name, _page(address), None)


def _page(address: str, headers: dict[str, str] | None = None) -> Ask:
    return lambda: _client().get(address, headers=headers)


@cache
def _client() -> Client:
    client = Client()
    client.force_login(_user(STAFF, is_superuser=True, is_staff=True))
    _user(OWNER)
    return client


def _user(name: str, **may: bool) -> User:
    return User.objects.get_or_create(username=name, defaults=may)[0]


def _metrics() -> HttpResponseBase:
    collector.REGISTRY = collector.new_registry()  # or it would answer with what it has just read
    return Client().get("/metrics")


def forget() -> None:
    """
    Have the next page read everything anew that it reads again each few seconds. What is read once
    a minute or less often is read by the first request alone.
    """
    forget_snapshot()
    forget_depths()
    forget_counts()
    forget_history("1h")


# The dashboard.

LIVE = (
    "overview",
    "runs",
    "a successful run",
    "a run that waits",
    "failures",
    "queues",
    "workers",
    "schedules",
    "workflows",
    "limits",
)


def dashboard_pages() -> dict[str, str]:
    """Return the addresses of all pages, and of many a list."""

    def page(view: str, /, *ids: Any, **query: Any) -> str:
        return _address(f"taskworks_dashboard:{view}", *ids, **query)

    successful, failed, ready = map(run_in, (RunState.SUCCESSFUL, RunState.FAILED, RunState.READY))
    return {
        "overview": page("overview"),
        "overview of 24 hours": page("overview", window="24h"),
        "overview of 7 days": page("overview", window="7d"),
        "runs": page("runs"),
        **{f"runs, {state.value}": page("runs", state=state.value) for state in ORDER},
        "runs that wait for a retry": page("runs", state="scheduled", attempts=1),
        "runs, an id": page("runs", id=failed),
        "runs of a queue": page("runs", queue=A_QUEUE),
        "runs of a task": page("runs", task=A_TASK),
        "runs of a task, failed": page("runs", task=A_TASK, state="failed"),
        "runs of a task, successful": page("runs", task=A_TASK, state="successful"),
        "runs of no task, successful": page("runs", task="shop.tasks.none", state="successful"),
        "runs of a worker": page("runs", worker="w3"),
        "runs of two hours": page("runs", since="2h"),
        "runs until a day ago": page("runs", until="1d"),
        "runs that took long": page("runs", took="2s", state="successful"),
        "runs with two attempts": page("runs", attempts="2"),
        "runs with an argument": page("runs", arg="customer=17"),
        "runs with no such argument": page("runs", arg="customer=none"),
        "runs, text in the error": page("runs", error="Error3"),
        "runs, no such text": page("runs", error="nothing like that"),
        "runs of a group": page("runs", group=GROUP),
        "runs of a schedule": page("runs", schedule="schedule 1"),
        "runs of an owner": page("runs", owner="17"),
        "all that match": page("runs_matching", state="failed"),
        "a successful run": page("run", successful),
        "a failed run": page("run", failed),
        "a run that waits": page("run", ready),
        "steps of a run": page("run_steps", successful),
        "other runs of its task": page("run_strip", successful),
        "related runs": page("run_relatives", successful),
        "a run with changes": page("run_changed", failed),
        "failures": page("failures"),
        "a group of failures": page("failure_group", GROUP),
        "queues": page("queues"),
        "clear a queue": page("clear_queue", queue=A_QUEUE, backend="default"),
        "workers": page("workers"),
        "schedules": page("schedules"),
        "workflows": page("workflows"),
        "a workflow": page("workflow", Workflow.objects.values_list("id", flat=True)[0]),
        "limits": page("limits"),
        "new run": page("new_run"),
        "a form": page("new_run_of", "tests.tasks.noop"),
    }


def run_in(state: RunState) -> Any:
    """Return the id of a run in this state."""
    return TaskRun.objects.filter(state=state).values_list("id", flat=True)[0]


def _address(view: str, /, *ids: Any, **query: Any) -> str:
    address = reverse(view, args=ids)
    return f"{address}?{urlencode(query, doseq=True)}" if query else address


# The REST API.


def rest_lists() -> dict[str, tuple[str, str]]:
    """Return who asks, and the addresses of lists, and of what is in them."""

    def runs(**query: Any) -> str:
        return _address("taskworks:task-list", **query)

    def workflows(**query: Any) -> str:
        return _address("taskworks:workflow-list", **query)

    week = "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
    statuses = ("pending", "running", "succeeded", "failed", "cancelled")
    return {
        "runs": (STAFF, runs()),
        "one's own runs": (OWNER, runs()),
        **{f"runs, {status}": (STAFF, runs(status=status)) for status in statuses},
        "one's own runs, cancelled": (OWNER, runs(status="cancelled")),
        "runs of a task": (STAFF, runs(task=A_TASK)),
        "runs of no task": (STAFF, runs(task=NOTHING)),
        "runs of a queue": (STAFF, runs(queue=A_QUEUE)),
        "runs of no queue": (STAFF, runs(queue=NOTHING)),
        "runs of a task, failed": (STAFF, runs(task=A_TASK, status="failed")),
        "runs created before all": (STAFF, runs(created_before=week[0])),
        "runs created after all": (STAFF, runs(created_after=week[1])),
        "a run": (STAFF, _address("taskworks:task-detail", run_in(RunState.SUCCESSFUL))),
        "a run that waits": (STAFF, _address("taskworks:task-detail", run_in(RunState.READY))),
        "workflows": (STAFF, workflows()),
        "workflows, failed": (STAFF, workflows(status="failed")),
        "workflows of no name": (STAFF, workflows(name=NOTHING)),
    }


# The admin.


def admin_lists() -> dict[str, str]:
    """Return the addresses of lists, and of a run."""

    def runs(**query: Any) -> str:
        return _address("admin:taskworks_taskrun_changelist", **query)

    others = ("worker", "schedule", "workflow", "limit", "pause")
    return {
        "runs": runs(),
        "runs, page 50": runs(p=50),
        **{f"runs, {state}": runs(state__exact=state) for state in RunState.values},
        "runs of a queue": runs(queue_name=A_QUEUE),
        "runs of no queue": runs(queue_name=NOTHING),
        "runs of a queue, failed": runs(queue_name=A_QUEUE, state__exact="failed"),
        "runs of another backend": runs(backend="other"),
        "coroutines": runs(executor__exact="async"),
        "runs that end tomorrow": runs(finished_at__gte="2100-01-01 00:00:00+00:00"),
        "runs, an id": runs(q=run_in(RunState.FAILED)),
        "runs, a task": runs(q="task_7"),
        "runs, no such words": runs(q="nothing of that"),
        "a failed run": _address("admin:taskworks_taskrun_change", run_in(RunState.FAILED)),
        **{f"{name}s": _address(f"admin:taskworks_{name}_changelist") for name in others},
        "workflows, failed": _address("admin:taskworks_workflow_changelist", status="failed"),
        "workflows, a name": _address("admin:taskworks_workflow_changelist", q="workflow 7"),
    }


# Commands.


def commands() -> list[list[str]]:
    """Return the words of commands that read."""
    return [
        ["status"],
        ["list"],
        ["list", "--state", "failed"],
        ["list", "--state", "successful", "--task", A_TASK],
        ["list", "--state", "successful", "--task", "shop.tasks.none"],
        ["list", "--error", "Error3", "--since", "2h"],
        ["show", str(run_in(RunState.FAILED))],
        ["failures"],
        ["failures", GROUP],
        ["queues"],
        ["workers"],
        ["health"],
        ["health", "--quick"],
        ["top", "--once"],
        ["statistics"],
        ["limits"],
        ["schedules"],
        ["workflows"],
    ]
