"""schemathesis asks for everything, well and badly: no 500, no status that is not documented."""

from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from django.db import connections
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as effort
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from taskworks import Workflow
from taskworks.models import TaskRun
from tests.effort import examples
from tests.rest import TASKS, offered

pytestmark = pytest.mark.timeout(120)

EXAMPLES = examples(20)  # of each operation, asked well, and as many asked badly
HEADERS = {"X-User": "ann"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
OPERATIONS = [
    ("get", ""),
    ("post", ""),
    ("get", "types/"),
    ("get", "schema/"),
    ("get", "{id}/"),
    ("post", "{id}/cancel/"),
    ("post", "{id}/retry/"),
    ("get", "{id}/events/"),
    ("post", "{id}/send/"),
    ("get", "workflows/"),
    ("get", "workflows/{id}/"),
    ("get", "workflows/{id}/steps/"),
    ("post", "workflows/{id}/cancel/"),
    ("post", "workflows/{id}/retry/"),
    ("get", "workflows/{id}/events/"),
]
WITHOUT_PARAMETERS = ("types/", "schema/")  # of which there are no bad ones


@pytest.fixture
def document(ann: Any, configured: Any, settings: Any) -> Any:
    settings.ALLOWED_HOSTS = ["localhost", "testserver"]
    configured(API_AUTHENTICATION_CLASSES=["tests.rest.signing.ByName"])
    application = get_wsgi_application()
    return schemathesis.openapi.from_wsgi(f"{TASKS}schema/", application, headers=HEADERS)


def test_all_operations_are_asked(document: Any) -> None:
    known = {(method, path) for path in document for method in document[path]}
    assert {(method.lower(), path) for method, path in known} == {
        (method, f"{TASKS}{path}") for method, path in OPERATIONS
    }


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        pytest.param(
            *(method, path, mode),
            marks=pytest.mark.not_every_day if path.startswith("workflows") else (),
        )
        for method, path in OPERATIONS
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or path not in WITHOUT_PARAMETERS
    ],
)
@pytest.mark.thorough_on_servers
def test_every_answer_is_as_documented(
    document: Any, ann: Any, method: str, path: str, mode: GenerationMode
) -> None:
    operation = document[f"{TASKS}{path}"][method]
    runs = [offered.Add.using(owner=ann).enqueue(a=1) for _ in range(3)]
    flow = Workflow("flow", owner=ann)
    flow.add("a", offered.Add.task, a=1)
    there = flow.enqueue() if path.startswith("workflows") else runs[0]
    if path.endswith("send/"):
        User.objects.filter(id=ann.id).update(is_staff=True, is_superuser=True)

    @given(case=operation.as_strategy(generation_mode=mode))
    @effort(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    def ask(case: Any) -> None:
        case.call_and_validate(headers=HEADERS, checks=CHECKS)
        if case.path_parameters:  # one that there is, too
            case.path_parameters = {"id": there.id}
            case.call_and_validate(headers=HEADERS, checks=CHECKS)

    ask()
    connections.close_all()
    assert TaskRun.objects.count() >= len(runs)
