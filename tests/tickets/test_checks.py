"""What checks say of an app, and what an enqueue refuses before anything is written."""

import sys
from typing import Any

import pytest
from celery import Celery, _state
from celery.signals import import_modules
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from kombu import Queue

from taskworks import task_backends
from taskworks.backends.celery import CeleryBackend
from taskworks.backends.celery.celery_app import app_of
from taskworks.backends.celery.queue_names import celery_queue, queue_names
from taskworks.celery import app as shim
from taskworks.exceptions import InvalidTask
from taskworks.models import TaskRun
from tests.tasks import noop
from tests.tickets import celery_project

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, backend: Any) -> Any:
    # Without the shared tasks of modules that other tests have imported.
    monkeypatch.setattr(_state, "_on_app_finalizers", set())
    app = Celery("shop", broker="memory://", set_as_current=False)
    monkeypatch.setattr(celery_project, "app", app)
    yield app
    app.close()


def _found() -> dict[str, CheckMessage]:
    found = {message.id: message for message in task_backends["celery"].check()}
    return {id_: found[id_] for id_ in found if id_ and "09" in id_ and id_ != "taskworks.E009"}


def _only(id_: str) -> str:
    found = _found()
    assert [*found] == [id_]
    return found[id_].msg


def _enqueue(**changes: Any) -> Any:
    return noop.using(backend="celery", **changes).enqueue()


def test_a_usual_app_is_fine(app: Celery) -> None:
    assert _found() == {}
    assert [m.id for m in task_backends["celery"].check() if m.id == "taskworks.W002"] == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("TICKETS", -1, "['TICKETS'] must be an integer from 0 to 1000, not -1."),
        ("TICKETS", 1001, "from 0 to 1000, not 1001."),
        ("TICKETS", True, "from 0 to 1000, not True."),
        ("TICKETS", "7", "from 0 to 1000, not '7'."),
        ("CELERY_QUEUES", ["celery"], "must be a dict of Celery's queues by our queue names"),
        ("CELERY_QUEUES", {"default": ""}, "it has 'default': ''."),
        ("CELERY_QUEUES", {5: "celery"}, "it has 5: 'celery'."),
        ("CELERY_APP", 5, "must be the path of an app, such as 'project.celery:app', not 5."),
        ("CELERY_APP", "", "not ''."),
    ],
)
def test_a_wrong_option_is_refused(
    app: Celery, backend: Any, key: str, value: Any, said: str
) -> None:
    backend["OPTIONS"][key] = value
    assert said in _only("taskworks.E090")
    with pytest.raises(ImproperlyConfigured) as refused:
        _enqueue()
    assert said in str(refused.value)
    assert not TaskRun.objects.exists()


def test_without_celery(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    sentence = "CeleryBackend needs Celery: pip install 'django-taskworks[celery]'"
    assert _only("taskworks.E091") == sentence
    with pytest.raises(ImproperlyConfigured) as refused:
        _enqueue()
    assert str(refused.value) == sentence
    assert not TaskRun.objects.exists()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("tests.tickets.nowhere:app", "cannot be imported: ModuleNotFoundError"),
        ("tests.tickets.celery_project:other", "cannot be imported: ModuleNotFoundError"),
        ("tests.tickets.celery_project:Celery", "is 'type' and not a Celery app"),
        ("tests.tickets.raising:app", "cannot be imported: ZeroDivisionError: division by zero"),
        (":::", "cannot be imported: "),
    ],
)
def test_an_app_that_cannot_be_used(app: Celery, backend: Any, path: str, said: str) -> None:
    backend["OPTIONS"]["CELERY_APP"] = path
    assert said in _only("taskworks.E092")
    run = _enqueue()  # workers find it
    assert TaskRun.objects.get().id.hex == run.id.replace("-", "")


def test_an_app_that_nobody_names_must_be_the_only_one(
    app: Celery, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del backend["OPTIONS"]["CELERY_APP"]
    apps = [app]
    monkeypatch.setattr("celery._state._get_active_apps", lambda: apps)
    assert app_of(task_backends["celery"]) is app
    apps.append(Celery("office", set_as_current=False))
    assert "there is 'office', 'shop'. Name it in" in _only("taskworks.E092")
    apps.clear()
    assert "there is none. Name it in" in _only("taskworks.E092")


def test_an_app_that_stores_runs(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    with shim.Celery("ours", set_as_current=False) as ours:
        monkeypatch.setattr(celery_project, "app", ours)
        assert "which has no broker" in _only("taskworks.E092")


def test_settings_of_the_app_that_cannot_be_read(app: Celery) -> None:
    app.config_from_object("tests.tickets.raising")
    assert "cannot be read: ZeroDivisionError" in _only("taskworks.E092")
    _enqueue()


def test_of_an_address_that_cannot_be_read_nothing_is_shown(app: Celery) -> None:
    """What Python says of it has a part of the password."""
    app.config_from_object("tests.tickets.unreadable")
    said = _only("taskworks.E092")
    assert said.endswith("cannot be read: ValueError")
    assert "hunter2" not in said


def test_a_queue_that_the_app_does_not_have(app: Celery, backend: Any) -> None:
    app.conf.task_create_missing_queues = False
    app.conf.task_queues = [Queue("celery"), Queue("io", alias="input")]
    assert _found() == {}
    backend["OPTIONS"]["CELERY_QUEUES"] = {"default": "celery", "mail": "input"}
    _enqueue()
    _enqueue(queue_name="mail")
    _enqueue(queue_name="io")
    assert TaskRun.objects.count() == 3
    sentence = (
        "The Celery app 'shop' has no queue 'imports', where workers take the runs of 'imports', "
        "and task_create_missing_queues is off. Add it to task_queues, or map 'imports' to another "
        "one in TASKS['celery']['OPTIONS']['CELERY_QUEUES']."
    )
    task = noop.using(backend="celery", queue_name="imports")
    for enqueue in (task.enqueue, lambda: task.enqueue_many([([], {})])):
        with pytest.raises(InvalidTask) as refused:
            enqueue()
        assert str(refused.value) == sentence
    assert TaskRun.objects.count() == 3


def test_queues_that_the_settings_name(app: Celery, backend: Any) -> None:
    app.conf.task_create_missing_queues = False
    app.conf.task_queues = [Queue("celery")]
    backend["QUEUES"] = ["default", "mail"]
    assert "has no queue 'mail'" in _only("taskworks.E093")


def test_eager_tasks(app: Celery) -> None:
    app.conf.task_always_eager = True
    assert "task_always_eager of the Celery app 'shop'" in _only("taskworks.W090")
    _enqueue()
    assert TaskRun.objects.ready().unlimited().exists()


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        (
            {"taskworks.run": {"time_limit": 5, "expires": 1}},
            "set expires, time_limit for",
        ),
        ([{"taskworks.run": {"acks_late": True}}], "set acks_late for"),
        ({"*": {"time_limit": 5}}, None),
        ({"taskworks.run": 5}, None),
        ([object()], None),
    ],
)
def test_annotations_of_the_task(app: Celery, annotations: Any, said: str | None) -> None:
    app.conf.task_annotations = annotations
    if said is None:
        assert _found() == {}
    else:
        assert said in _only("taskworks.W091")


def test_a_result_backend_for_nothing(app: Celery) -> None:
    app.conf.result_backend = "cache+memory://"
    assert "has a result_backend, but no tasks of its own" in _only("taskworks.W092")

    @app.task(name="shop.tasks.of_celery", shared=False)
    def of_celery() -> None: ...

    assert _found() == {}


def test_they_do_not_run_themselves(app: Celery) -> None:
    """In a project, Celery runs Django's checks when the modules of its tasks are imported."""
    found: list[Any] = []

    def check_again(**of_signal: Any) -> None:
        if len(found) < 3:
            found.append(_found())

    app.conf.result_backend = "cache+memory://"
    import_modules.connect(check_again, sender=app)
    try:
        _only("taskworks.W092")
    finally:
        import_modules.disconnect(check_again, sender=app)
    assert found == [{}]


@pytest.mark.parametrize(
    ("given", "queue", "names"),
    [
        (None, "celery", ("default", "celery")),
        (None, "default", ()),
        (None, "mail", ("mail",)),
        ({"default": "io", "mail": "io"}, "io", ("default", "mail", "io")),
        ({"default": "io"}, "celery", ("celery",)),
        ({}, "default", ("default",)),
    ],
)
def test_names_of_queues_and_back(
    app: Celery, backend: Any, given: Any, queue: str, names: tuple[str, ...]
) -> None:
    if given is not None:
        backend["OPTIONS"]["CELERY_QUEUES"] = given
    ours = task_backends["celery"]
    assert isinstance(ours, CeleryBackend)
    assert queue_names(ours, app, queue) == names
    assert all(celery_queue(ours, app, name) == queue for name in names)


def test_only_queues_that_the_backend_has(app: Celery, backend: Any, settings: Any) -> None:
    settings.TASKS = {**settings.TASKS, "celery": {**backend, "QUEUES": ["default"]}}
    assert queue_names(task_backends["celery"], app, "celery") == ("default",)


def test_the_default_queue_is_that_of_the_app(app: Celery) -> None:
    app.conf.task_default_queue = "jobs"
    assert celery_queue(task_backends["celery"], app, "default") == "jobs"


def test_the_command_that_starts_a_worker(app: Celery, backend: Any) -> None:
    def command(queue_name: str) -> str:
        return task_backends["celery"].command_of_a_worker(queue_name)  # type: ignore[attr-defined, no-any-return]

    app.conf.worker_pool = "threads"  # which needs no option
    here = "celery -A tests.tickets.celery_project:app worker -Q"
    assert command("default") == f"{here} celery"
    backend["OPTIONS"]["CELERY_QUEUES"] = {"mail": "io"}
    assert command("mail") == f"{here} io"
    backend["OPTIONS"]["CELERY_APP"] = "tests.tickets.nowhere:app"
    assert command("mail").startswith("celery -A tests.tickets.nowhere:app worker -Q mail")
    for nothing in ("", None, 7):
        backend["OPTIONS"]["CELERY_APP"] = nothing
        assert command("mail").startswith("celery -A APP worker -Q ")


@pytest.mark.parametrize(
    ("settings_of_celery", "forks"),
    [
        ({}, True),
        ({"worker_pool_start_method": "spawn"}, False),
        ({"worker_pool": "solo"}, False),
    ],
)
def test_no_command_starts_a_worker_that_forks_from_who_uses_sqlite(
    app: Celery, backend: Any, settings_of_celery: dict[str, str], forks: bool
) -> None:
    app.conf.update(settings_of_celery)
    command = task_backends["celery"].command_of_a_worker("mail")  # type: ignore[attr-defined]
    assert command.endswith(" --pool threads") is (forks and connection.vendor == "sqlite")
