"""A client that openapi-python-client generates from either document starts and follows runs."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from taskworks.worker import Worker
from tests.rest import TASKS, modelled, offered
from tests.rest.generating import generate
from tests.rest.signing import HEADER
from tests.waiting import wait_for

pytestmark = pytest.mark.any_database


@pytest.fixture(params=["3.0 of the project", "3.1 of the API"])
def generated(
    request: Any,
    configured: Any,
    client: APIClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Any]:
    """Return what imports a module of the client."""
    configured(API_TASKS=[*offered.PATHS, *modelled.PATHS])
    if request.param.startswith("3.0"):
        document = SchemaGenerator().get_schema(request=None, public=True)
    else:
        document = client.get(f"{TASKS}schema/").json()
    package = f"generated_{document['openapi'].replace('.', '_')}"
    generate(document, tmp_path, package)
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name: importlib.import_module(f"{package}.{name}")


@pytest.fixture
def ask(generated: Any, live_server: Any, ann: Any) -> Callable[..., Any]:
    """Send a request as Ann by the client's function of this name, and return its answer."""
    client = generated("client").Client(live_server.url, headers={HEADER: ann.username})

    def ask(name: str, *ids: Any, **given: Any) -> Any:
        module = generated(f"api.taskworks.taskworks_{name}")
        return module.sync(*ids, client=client, **given)

    return ask


@pytest.mark.not_every_day
def test_runs_are_started_followed_and_cancelled(generated: Any, ask: Any, worker: Worker) -> None:
    models = generated("models")
    statuses = models.TaskworksStatus

    def start(name: str, **inputs: Any) -> Any:
        title = name.capitalize()
        body = getattr(models, f"TaskworksStart{title}")
        made = getattr(models, f"Taskworks{title}Inputs")(**inputs)
        return ask("start", body=body(task=word(models, name), inputs=made))

    def goes_on(run: Any) -> Any:
        offered.orders.put(lambda task: None)
        return ask("retrieve", run.id).status

    told = start("told")
    assert told.status in (statuses.PENDING, statuses.RUNNING)
    offered.orders.put(lambda task: (task.set_target(4), task.set_progress(1)))
    wait_for(lambda: ask("retrieve", told.id).percent == 25, "the client sees the progress")
    assert ask("cancel", told.id).cancel_requested
    wait_for(lambda: goes_on(told) == statuses.CANCELLED, "the client sees its cancellation")
    [listed] = ask("list", status=statuses.CANCELLED).results
    assert (listed.id, listed.error.message) == (told.id, "The task was cancelled.")

    items = [models.TaskworksItem(number=7, note="fragile")]
    taken = start("take", order=models.TaskworksTestsRestModelledOrder(items=items))
    wait_for(lambda: ask("retrieve", taken.id).status == statuses.SUCCEEDED, "it is done")
    outputs = ask("retrieve", taken.id).outputs.to_dict()
    assert models.TaskworksTakeOutputs.from_dict(outputs).result.items == items


def word(models: Any, name: str) -> Any:
    """Return the name of a task: in 3.0, which has no constants, the only member of an enum."""
    enum = getattr(models, f"TaskworksStart{name.capitalize()}Task", None)
    return name if enum is None else enum(name)
