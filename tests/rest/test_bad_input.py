"""Bad input is refused with the right status, by the field's name, and nothing is enqueued."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from taskworks.models import TaskRun
from tests.rest import TASKS, address

MEGABYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def _nothing_is_enqueued(_api: None) -> Iterator[None]:
    yield
    assert not TaskRun.objects.exists()


def post(client: APIClient, body: str | bytes, **headers: Any) -> Any:
    return client.post(
        TASKS, body, content_type=headers.pop("content_type", "application/json"), **headers
    )


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ("null", "null"),
        ("[1, 2]", "a list"),
        ('"text"', "a string"),
        ("7", "a number"),
        ("true", "a boolean"),
    ],
)
def test_inputs_that_are_no_object(client: APIClient, inputs: str, named: str) -> None:
    response = post(client, f'{{"task": "add", "inputs": {inputs}}}')
    assert response.status_code == 400
    assert list(response.json()) == ["inputs"]
    assert named in response.json()["inputs"][0]


@pytest.mark.parametrize(
    ("task", "inputs", "names"),
    [
        ("add", '{"a": "foo", "b": []}', ["a", "b"]),
        ("add", "{}", ["a"]),
        ("add", '{"a": 1, "c": 2}', ["c"]),
        ("add", '{"a": "inf"}', ["a"]),
        ("add", '{"a": "nan"}', ["a"]),
        ("add", '{"a": 1e999}', ["a"]),
        ("various", '{"n": "inf"}', ["n"]),
        ("various", '{"n": 5.9}', ["n"]),
        ("various", '{"n": "not a number"}', ["n"]),
        ("various", '{"n": 99999999999999999999999}', ["n"]),
        ("various", '{"n": null, "flag": "maybe"}', ["n", "flag"]),
        ("various", '{"text": "\\u0000"}', ["text"]),
        ("various", '{"text": "\\ud800"}', ["text"]),
        ("various", '{"more": {"\\ud800": 1}}', ["more"]),
        ("various", '{"\\ud800": 1}', ["\ud800"]),
        ("various", '{"more": 7}', ["more"]),
        ("various", '{"self": 1}', ["self"]),
        ("no inputs", '{"task": 1}', ["task"]),
    ],
)
def test_every_input_that_does_not_fit_is_named(
    client: APIClient, task: str, inputs: str, names: list[str]
) -> None:
    response = post(client, f'{{"task": "{task}", "inputs": {inputs}}}')
    assert response.status_code == 400, response.content
    errors = response.json()["inputs"]
    assert sorted(errors) == sorted(names)
    assert all(isinstance(text, str) for texts in errors.values() for text in texts)


@pytest.mark.parametrize(
    "body", ['{"task": "add", "inputs": {"a": NaN}}', "{", " ", "\xff", "[" * 9999]
)
def test_bodies_that_are_no_json(client: APIClient, body: str) -> None:
    response = post(client, body.encode("latin-1"))
    assert response.status_code == 400
    assert response.json()["detail"].startswith("JSON parse error")


@pytest.mark.parametrize("body", ["[]", "null", "7", '"add"'])
def test_bodies_that_are_no_object(client: APIClient, body: str) -> None:
    response = post(client, body)
    assert response.status_code == 400
    assert list(response.json()) == ["non_field_errors"]


@pytest.mark.parametrize("name", ['"ad"', '"\\u0000"', '"\\ud800"', "null", "[]", '""'])
def test_unknown_tasks(client: APIClient, name: str) -> None:
    response = post(client, f'{{"task": {name}, "inputs": {{}}}}')
    assert response.status_code == 400
    assert list(response.json()) == ["task"]
    if name == '"ad"':
        assert response.json()["task"] == [
            "Invalid task: no task is called 'ad'. Did you mean 'add'?"
        ]


def test_unknown_fields(client: APIClient) -> None:
    response = post(client, '{"task": "add", "inputs": {"a": 1}, "queue": "mail"}')
    assert (response.status_code, response.json()) == (400, {"queue": ["Unknown field."]})


def test_of_many_unknown_fields_some_are_told(client: APIClient) -> None:
    fields = {f"field {number}": 1 for number in range(1000)}
    response = post(client, json.dumps({"task": "add", "inputs": {"a": 1}, **fields}))
    assert response.status_code == 400
    assert len(response.json()) == 20


def test_a_megabyte_of_json(client: APIClient) -> None:
    body = json.dumps({"task": "various", "inputs": {"text": "x" * MEGABYTE}})
    response = post(client, body)
    assert response.status_code == 400
    assert list(response.json()["inputs"]) == ["text"]


def test_more_than_a_megabyte_is_not_read(client: APIClient) -> None:
    response = post(client, b" " * 2 * MEGABYTE)
    assert response.status_code == 413
    assert "too large" in response.json()["detail"]


def test_what_django_does_not_read_for_a_session(ann: User, settings: Any) -> None:
    session = Client(enforce_csrf_checks=True, raise_request_exception=False)
    session.force_login(ann)
    session.cookies["csrftoken"] = token = "x" * 32
    body = b" " * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    response = session.post(TASKS, body, "application/json", HTTP_X_CSRFTOKEN=token)
    assert response.status_code == 413
    assert "too large" in response.json()["detail"]


def test_bodies_of_another_type(client: APIClient) -> None:
    for content_type in (
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
    ):
        response = post(client, "{}", content_type=content_type)
        assert response.status_code == 415, content_type


@pytest.mark.parametrize("key", ["", "x" * 201, "a\x01b", "a b", "\xe4"])
def test_keys_that_cannot_be(client: APIClient, key: str) -> None:
    response = post(client, '{"task": "add", "inputs": {"a": 1}}', HTTP_IDEMPOTENCY_KEY=key)
    assert response.status_code == 400
    assert list(response.json()) == ["idempotency_key"]


@pytest.mark.parametrize("verb", ["", "events"])
@pytest.mark.parametrize("run_id", ["7", "x" * 5000, "%00", "%F0%9F%98%80", "{}"])
def test_malformed_ids(client: APIClient, run_id: str, verb: str) -> None:
    response = client.get(address(run_id, verb))
    assert response.status_code == 404
    assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task", "\x00"),
        ("task", ""),
        ("queue", "x" * 600),
        ("queue", "a\x00"),
        ("queue", "a\n"),
        ("status", "done"),
        ("created_after", "yesterday"),
        ("created_after", "2026-02-31T00:00:00Z"),
        ("created_before", "0001-01-01T00:00:00+14:00"),
        ("created_before", "9999-12-31T23:59:59-14:00"),
        ("mine", "perhaps"),
        ("mine", "True"),
        ("mine", ""),
        ("page_size", "0"),
        ("page_size", "101"),
        ("page_size", "-1"),
        ("page_size", "+1"),
        ("page_size", "5.0"),
        ("page_size", " 5"),
        ("page_size", ""),
        ("page_size", "٣"),
        ("page_size", "1" * 5000),
        ("created_after", ""),
        ("cursor", "x"),
        ("cursor", ""),
    ],
)
def test_filters_that_cannot_be(client: APIClient, name: str, value: str) -> None:
    response = client.get(TASKS, {name: value})
    assert response.status_code == 400
    assert list(response.json()) == [name]


def test_a_filter_that_there_is_not(client: APIClient) -> None:
    response = client.get(TASKS, {"staus": "failed", "mine": "maybe", "id\0": "1"})
    assert response.status_code == 400
    assert [*response.json()] == ["staus", "id\0", "mine"]
    assert response.json()["staus"] == [
        "There is no parameter 'staus'. Choose from: created_after, created_before, cursor, mine, "
        "page_size, queue, status, task."
    ]
    many = {f"{number}{'x' * 1000}": "" for number in range(100)}
    told = client.get(TASKS, many).json()
    assert len(told) == 20
    assert all(len(text) < 250 for [text] in told.values())


def test_a_filter_that_is_given_twice(client: APIClient) -> None:
    response = client.get(f"{TASKS}?status=failed&task=add&status=pending")
    assert response.status_code == 400
    assert response.json() == {"status": ["It is given more than once."]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("created_after", "2026-01-01T00:00:00-23:59"),
        ("created_before", "1900-01-01T00:00:00+23:59"),
    ],
)
def test_offsets_that_a_database_does_not_know(client: APIClient, name: str, value: str) -> None:
    assert client.get(TASKS, {name: value}).status_code == 200


def test_a_host_that_is_not_allowed(client: APIClient, settings: Any) -> None:
    response = post(client, '{"task": "add", "inputs": {"a": 1}}', HTTP_HOST="evil.example")
    assert response.status_code == 400
