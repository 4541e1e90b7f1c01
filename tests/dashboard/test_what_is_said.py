"""Pages say no more than is known: of what was not read, was cut, or is not for everybody."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from taskworks import Workflow
from taskworks.dashboard import history, overview, snapshot
from taskworks.dashboard.reading import Read
from taskworks.dashboard.runs import run_page
from taskworks.dashboard.tags import path
from taskworks.database.time_limit import TookTooLong
from taskworks.models import Failure, FailureGroup, TaskRun, Worker
from taskworks.statistics import reading
from taskworks.store import Store
from taskworks.store.surveying import QueueState
from tests import tasks
from tests.dashboard.conftest import place
from tests.faces.conftest import MakeRun

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def text_of(response: Any) -> str:
    assert response.status_code == 200, response.content.decode()
    return str(response.content.decode())


def too_long(*given: Any, **named: Any) -> Any:
    raise TookTooLong("It took too long.")


def row_of(text: str, name: str) -> str:
    """The row of a queue, of which this is the name."""
    return text.split(f'<th scope="row">{name}')[1].partition("</tr>")[0]


def cell_of(row: str, label: str) -> str:
    return row.split(f'data-label="{label}">')[1].partition("</td>")[0]


def test_what_could_not_be_read_is_not_zero(
    root: Client, make_run: MakeRun, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(queue_name="mail")
    for name in ("survey", "held"):
        monkeypatch.setattr(Store, name, too_long)
    monkeypatch.setattr(snapshot.Snapshot, "_workers", too_long)
    for name in ("series", "busiest"):
        monkeypatch.setattr(reading, name, too_long)
    monkeypatch.setattr(overview, "problems", lambda request: [])  # they have tests of their own
    monkeypatch.setattr(overview, "unknown", list)

    text = text_of(root.get(place("queues")))
    row = row_of(text, "default")
    for label in ("Ready", "In hand", "Ended a minute", "State"):
        assert cell_of(row, label) == "—", label
    assert "no worker takes it" not in text

    text = text_of(root.get(place("overview")))
    assert "It is not known how many workers there are." in text
    assert "Nothing was counted" not in text
    assert "No run has ended" not in text
    assert "No worker is running" not in text_of(root.get(place("workers")))


def test_what_is_capped_says_so(
    root: Client, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = QueueState("default", "default", 10_000, is_capped=True)
    monkeypatch.setattr(Store, "survey", lambda store: [full])
    monkeypatch.setattr(snapshot, "MOST_WORKERS", 0)
    assert "10000+" in row_of(text_of(root.get(place("queues"))), "default")
    assert "Only the first" in text_of(root.get(place("workers")))


def test_runs_that_wait_are_not_nothing(root: Client, make_run: MakeRun, worker: Worker) -> None:
    make_run()
    assert history.history("1h").counted().problem == ""
    assert "nothing waits" not in cell_of(
        row_of(text_of(root.get(place("queues"))), "default"), "State"
    )


def test_what_a_step_follows_and_waits_for(root: Client) -> None:
    workflow = Workflow("import")
    first = workflow.add("fetch <all>", tasks.noop)
    workflow.add("sum up", tasks.noop, after=[first])
    result = workflow.enqueue()

    text = text_of(root.get(place("workflow", result.id)))
    row = text.split("sum up</a></th>")[1]
    assert cell_of(row, "Follows") == "fetch &lt;all&gt;"
    assert "It waits for" in cell_of(row, "State")
    assert text.count('class="taskworks-node ') == 2
    assert "<path d=" in text
    assert "fetch <all>" not in text


def only_successful(request: Any, action: str, row: Any) -> bool:
    return not isinstance(row, TaskRun) or row.state == "successful"


def test_runs_that_somebody_may_not_see_are_on_no_page(
    root: Client, make_run: MakeRun, worker: Worker, settings: Any
) -> None:
    run = make_run()
    now = timezone.now()
    TaskRun.objects.filter(id=run.id).update(
        state="running", claimed_by=worker.id, claimed_at=now, last_attempted_at=now
    )
    FailureGroup.objects.create(
        fingerprint="f" * 16,
        task_path="a.b",
        exception="x.Y",
        first_at=now,
        last_at=now,
        count=1,
        sample=run.id,
    )
    Failure.objects.create(run=run.id, fingerprint="f" * 16, at=now)
    result = Workflow("import")
    result.add("first", tasks.noop)
    workflow = result.enqueue()
    step = TaskRun.objects.exclude(id=run.id).get()
    child = make_run(state="successful", finished_at=now)
    TaskRun.objects.filter(id=child.id).update(metadata={"taskworks.parent": str(run.id)})
    pages = {
        place("workers"): run.id,
        place("failure_group", "f" * 16): run.id,
        place("workflow", workflow.id): step.id,
        place("run_relatives", child.id): run.id,
    }
    assert all(str(id_) in text_of(root.get(where)) for where, id_ in pages.items())
    settings.TASKWORKS = {**settings.TASKWORKS, "DASHBOARD_ACCESS": f"{__name__}.only_successful"}
    for where, id_ in pages.items():
        assert str(id_) not in text_of(root.get(where)), where
    assert "a run that you may not see" in text_of(root.get(place("run_relatives", child.id)))


def test_the_path_of_a_task_breaks_after_its_dots() -> None:
    assert path("shop.tasks.<b>") == "shop.<wbr>tasks.<wbr>&lt;b&gt;"


def test_a_run_that_takes_too_long_to_read_is_not_called_missing(
    root: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    monkeypatch.setattr(run_page, "read", lambda call: Read(None, "It took too long."))
    response = root.get(place("run", run.id))
    assert (response.status_code, "It took too long." in response.content.decode()) == (503, True)


def test_a_page_with_buttons_that_has_not_changed_is_not_sent_again(root: Client) -> None:
    where, fragment = place("queues"), {"HX-Request": "true"}
    first = root.get(where, headers=fragment)
    assert b"csrfmiddlewaretoken" in first.content
    again = root.get(where, headers={**fragment, "If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    root.cookies.pop("csrftoken", None)
    other = root.get(where, headers={**fragment, "If-None-Match": first["ETag"]})
    assert other.status_code == 200  # or the page would keep tokens that are of no use


def test_a_mute_has_a_button_that_ends_it(root: Client) -> None:
    now = timezone.now()
    FailureGroup.objects.create(
        fingerprint="f" * 16,
        task_path="a.b",
        exception="x.Y",
        first_at=now,
        last_at=now,
        count=1,
        sample=uuid4(),
        muted_until=now + timedelta(days=1),
    )
    page = place("failure_group", "f" * 16)
    assert "End the mute" in text_of(root.get(page))
    root.post(place("mute_group", "f" * 16))
    assert "End the mute" not in text_of(root.get(page))
    assert FailureGroup.objects.get().muted_until is None
