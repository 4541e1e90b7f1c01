"""What is wrong in TASKS is said in a sentence, by a check and by the commands."""

from typing import Any

import pytest
from django.core import checks

from taskworks.checks import check_backends
from taskworks.framework import check_tasks
from tests.behavior import Settings
from tests.behavior.test_worker import refusal

pytestmark = pytest.mark.any_database

DATABASE_BACKEND = "taskworks.backends.database.DatabaseBackend"


@pytest.fixture(autouse=True)
def _without_the_backport(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which other tests import beside the standard, and which then has a check of its own."""
    registry = checks.registry.registry
    kept = [
        c for c in registry.registered_checks if c.__name__ != "check_tasks" or c is check_tasks
    ]
    monkeypatch.setattr(registry, "registered_checks", {*kept})


NOT_FROM_HERE = "The module that it names says no."


def refuse(alias: str, params: Any) -> None:
    raise RuntimeError(NOT_FROM_HERE)


def no_backend(alias: str, params: Any) -> object:
    return object()


UNUSABLE = [
    ("ours", "TASKS must be a dict of backends by alias, not 'ours'."),
    ({"default": DATABASE_BACKEND}, "TASKS['default'] must be a dict with the key 'BACKEND', not "),
    ({"default": {}}, f"such as '{DATABASE_BACKEND}'; the dict has no keys."),
    ({"default": {"BAKEND": ""}}, f"such as '{DATABASE_BACKEND}'; the dict has only 'BAKEND'."),
    ({"default": {"BACKEND": 5}}, f"such as '{DATABASE_BACKEND}', not 5."),
    (
        {"default": {"BACKEND": f"{DATABASE_BACKEND}s"}},
        f"TASKS['default']['BACKEND'] is '{DATABASE_BACKEND}s', which cannot be used: Module "
        '"taskworks.backends.database" does not define a "DatabaseBackends" attribute/class. '
        f"Did you mean '{DATABASE_BACKEND}'?",
    ),
    (
        {"default": {"BACKEND": "nowhere.Backend"}},
        "TASKS['default']['BACKEND'] is 'nowhere.Backend', which cannot be used: "
        "No module named 'nowhere'.",
    ),
    (
        {"default": {"BACKEND": f"{__name__}.refuse"}},
        f"cannot be used: RuntimeError: {NOT_FROM_HERE}",
    ),
    ({"default": {"BACKEND": f"{__name__}.no_backend"}}, "no_backend', which is not a backend."),
    (
        {"default": {"BACKEND": DATABASE_BACKEND, "QUEUES": "mail"}},
        "TASKS['default']['QUEUES'] must be a list of names, not 'mail'.",
    ),
    (
        {"default": {"BACKEND": DATABASE_BACKEND, "QUEUES": None}},
        "TASKS['default']['QUEUES'] must be a list of names, not None.",
    ),
    (
        {"default": {"BACKEND": DATABASE_BACKEND, "OPTIONS": ["RETENTION"]}},
        "TASKS['default']['OPTIONS'] must be a dict, not ['RETENTION'].",
    ),
]


@pytest.mark.parametrize(("given", "sentence"), UNUSABLE, ids=[end[-30:] for _, end in UNUSABLE])
def test_a_backend_that_cannot_be_used_is_an_error(
    settings: Settings, capsys: pytest.CaptureFixture[str], given: Any, sentence: str
) -> None:
    settings.TASKS = given
    [error] = [found for found in checks.run_checks() if found.id == "taskworks.E008"]
    assert sentence in error.msg
    assert f" worker: error: {error.msg}\n" in refusal(capsys, "worker")
    assert f" run: error: {error.msg}\n" in refusal(capsys, "run", "nowhere.tasks.add")


def test_the_others_are_checked_all_the_same(settings: Settings) -> None:
    settings.TASKS = {
        "bad": {"BACKEND": "nowhere"},
        "default": {"BACKEND": DATABASE_BACKEND, "QUEUE": []},
    }
    found = [message.id for message in check_backends()]
    assert found[:2] == ["taskworks.E008", "taskworks.W002"]


def test_the_standard_s_check_is_replaced() -> None:
    registered = checks.registry.registry.get_checks()
    assert check_backends in registered
    assert check_tasks not in registered


@pytest.mark.parametrize("backend", ["database.Database", "dummy.Dummy", "immediate.Immediate"])
@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"QUEUE": []}, " has an unknown key: 'QUEUE'. Did you mean 'QUEUES'?"),
        ({"queues": []}, " has an unknown key: 'queues'. Did you mean 'QUEUES'?"),
        ({"PREFIX": 1}, " has an unknown key: 'PREFIX'. Choose from: BACKEND, QUEUES, OPTIONS."),
        (
            {"RETENTION": {}},
            " has an unknown key: 'RETENTION'. It belongs in TASKS['default']['OPTIONS'].",
        ),
        (
            {"OPTIONS": {"QUEUES": []}},
            "['OPTIONS'] has an unknown key: 'QUEUES'. It belongs in TASKS['default'].",
        ),
        (
            {"OPTIONS": {"max_attemps": 3}},
            "['OPTIONS'] has an unknown key: 'max_attemps'. Did you mean 'max_attempts'? It "
            "belongs in @task(max_attempts=...), or in "
            "TASKS['default']['OPTIONS']['TASK_DEFAULTS'] for every task.",
        ),
    ],
)
def test_a_key_that_nobody_reads_is_a_warning(
    settings: Settings, backend: str, entry: Any, sentence: str
) -> None:
    settings.TASKS = {"default": {"BACKEND": f"taskworks.backends.{backend}Backend", **entry}}
    warnings = [found for found in checks.run_checks() if found.id == "taskworks.W002"]
    assert [warning.msg for warning in warnings] == [f"TASKS['default']{sentence}"]
