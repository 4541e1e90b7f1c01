"""Invalid endpoints are refused when the class is created, or before anything is enqueued."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings
from rest_framework.test import APIClient
from rest_framework.views import APIView

from taskworks.endpoints import EndpointTasks, checks, deferrable_task, task
from taskworks.exceptions import InvalidEndpoint
from taskworks.models import TaskRun
from tests.endpoints.conftest import Settings
from tests.endpoints.models import Event, Order

IMMEDIATE = "taskworks.backends.immediate.ImmediateBackend"

pytestmark = pytest.mark.usefixtures("_forgets_refusals")


@pytest.fixture
def _forgets_refusals() -> Iterator[None]:
    yield
    checks.refused.clear()
    for endpoint in [*checks.endpoints]:
        if endpoint.__module__ == "endpoint_of_a_test":
            checks.endpoints.discard(endpoint)
    sys.modules.pop("endpoint_of_a_test", None)


# In a request.


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        (
            "NoModel",
            "NoModel.mail: the resource must be a model instance, so that a worker can fetch it, "
            "not a dict.",
        ),
        ("Unsaved", "Unsaved.mail: the resource, an instance of Order, is not saved"),
        (
            "UnsavedAndChanged",
            "UnsavedAndChanged.change: the resource, an instance of Order, is not saved",
        ),
        (
            "NoJSON",
            "NoJSON.mail: invalid arguments from task_args_factory: Unsupported type: "
            "<class 'object'> at kwargs['when']",
        ),
        ("NoArguments", "NoArguments.mail: task_args_factory must return (args, kwargs), not"),
        ("NoDelay", "NoDelay.mail: delay must be seconds or a timedelta"),
        ("Deleted", "Deleted.mail: the resource, an instance of Order, is not saved"),
        ("NewKey", "NewKey: the primary key of the resource, an instance of Order, was changed"),
        ("LeftUnsaved", "LeftUnsaved.choose: the resource, an instance of Order, is not saved"),
    ],
)
def test_an_error_names_endpoint_and_task(order: Order, endpoint: str, sentence: str) -> None:
    with pytest.raises(InvalidEndpoint) as caught:
        APIClient().post(f"/{endpoint}/A7/")
    assert sentence in str(caught.value)
    assert not TaskRun.objects.exists()


@pytest.mark.usefixtures("atomic_requests")
@pytest.mark.parametrize("endpoint", ["NoJSON", "Deleted", "Vanished", "Raises", "InlineRaises"])
def test_the_requests_transaction_is_whole(client: APIClient, order: Order, endpoint: str) -> None:
    assert client.post(f"/{endpoint}/A7/").status_code == 500
    assert Order.objects.get().note == "please"
    assert not TaskRun.objects.exists()


def test_what_cannot_be_saved_is_an_error(client: APIClient, order: Order) -> None:
    assert client.post("/Vanished/A7/").status_code == 500


@pytest.mark.parametrize("endpoint", ["Raises", "InlineRaises"])
def test_an_exception_stops_what_comes_after_it(
    client: APIClient, order: Order, endpoint: str
) -> None:
    assert client.post(f"/{endpoint}/A7/").status_code == 500
    assert Order.objects.get().note == "please"
    assert not TaskRun.objects.exists()
    assert not Event.objects.exists()


# When the class is created.

CLASSES = {
    "circle": (
        """
        class Endpoint(EndpointTasks):
            @task(depends_on="b")
            def a(self): ...
            @task(depends_on="c")
            def b(self): ...
            @task(depends_on="a")
            def c(self): ...
        """,
        "The tasks of Endpoint depend on each other in a circle: a -> b -> c -> a.",
    ),
    "on itself": (
        """
        class Endpoint(EndpointTasks):
            @task(depends_on="a")
            def a(self): ...
        """,
        "in a circle: a -> a.",
    ),
    "deferrable circle": (
        """
        class Endpoint(EndpointTasks):
            @deferrable_task(depends_on="b")
            @staticmethod
            def a(order): ...
            @deferrable_task(depends_on="a")
            @staticmethod
            def b(order): ...
        """,
        "in a circle: a -> b -> a.",
    ),
    "unknown": (
        """
        class Endpoint(EndpointTasks):
            @task
            def change(self): ...
            @task(depends_on="chnage")
            def a(self): ...
        """,
        "Endpoint.a depends on 'chnage', which is not a task of Endpoint. Did you mean 'change'?",
    ),
    "removed": (
        """
        class Base(EndpointTasks):
            @task
            def a(self): ...
            @task(depends_on=a)
            def b(self): ...
        class Endpoint(Base):
            a = None
        """,
        "Endpoint.b depends on 'a', which is not a task of Endpoint.",
    ),
    "on a deferrable": (
        """
        class Endpoint(EndpointTasks):
            @deferrable_task
            @staticmethod
            def mail(order): ...
            @task(depends_on=mail)
            def a(self): ...
        """,
        "Endpoint.a depends on 'mail', a deferrable task, which is executed after the request",
    ),
    "no staticmethod": (
        """
        class Endpoint(EndpointTasks):
            @deferrable_task
            def mail(order): ...
        """,
        "Endpoint.mail: a @deferrable_task must be a static method",
    ),
    "staticmethod above": (
        """
        class Endpoint(EndpointTasks):
            @staticmethod
            @deferrable_task
            def mail(order): ...
        """,
        "Put @staticmethod below @deferrable_task.",
    ),
    "nested": (
        """
        class Outer:
            class Endpoint(EndpointTasks):
                @deferrable_task
                @staticmethod
                def mail(order): ...
        """,
        "Outer.Endpoint.mail: workers cannot import Outer.Endpoint from 'endpoint_of_a_test', "
        "because it is defined inside Outer.",
    ),
    "local": (
        """
        def make():
            class Endpoint(EndpointTasks):
                @deferrable_task
                @staticmethod
                def mail(order): ...
        make()
        """,
        "workers cannot import make.<locals>.Endpoint",
    ),
    "queue": (
        """
        class Endpoint(EndpointTasks):
            @deferrable_task(queue="nowhere")
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: Queue 'nowhere' is not valid for backend.",
    ),
    "condition": (
        """
        class Endpoint(EndpointTasks):
            def unless(self, order): ...
            @deferrable_task(execute_unless=unless)
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: execute_unless must be a method whose only argument is self.",
    ),
    "no condition": (
        """
        class Endpoint(EndpointTasks):
            @deferrable_task(execute_unless=True)
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: execute_unless must be callable, not True.",
    ),
    "delay": (
        """
        class Endpoint(EndpointTasks):
            @deferrable_task(delay=-1)
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: delay must be seconds or a timedelta, from 0 to ten years, not -1.",
    ),
    "always": (
        """
        class Endpoint(EndpointTasks):
            @deferrable_task(always_defer=None)
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: always_defer must be True, False or a callable, not None.",
    ),
    "unique": (
        """
        class Endpoint(EndpointTasks):
            @deferrable_task(unique="order")
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: Endpoint.mail: unique must be Unique(...) or Debounce(...), not 'order'.",
    ),
    "unique field": (
        """
        from taskworks import Unique
        class Endpoint(EndpointTasks):
            @deferrable_task(unique=Unique("ordre"))
            @staticmethod
            def mail(order): ...
        """,
        "cannot be unique by 'ordre': it has no such parameter. Did you mean 'order'?",
    ),
    "unique follower": (
        """
        from taskworks import Unique
        class Endpoint(EndpointTasks):
            @deferrable_task
            @staticmethod
            def charge(order): ...
            @deferrable_task(unique=Unique(on_conflict="replace"), depends_on=charge)
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: on_conflict='replace' does not fit a run that follows another",
    ),
    "debounced with delay": (
        """
        from taskworks import Debounce
        class Endpoint(EndpointTasks):
            @deferrable_task(unique=Debounce(wait=1, longest=2), delay=5)
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: delay does not fit Debounce, whose wait says when the run is due.",
    ),
    "retries": (
        """
        class Endpoint(EndpointTasks):
            @deferrable_task(retries=-1)
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: retries must be 0 or more, not -1.",
    ),
    "filter": (
        """
        class Endpoint(EndpointTasks):
            @deferrable_task(retry_exception_filter=("OSError",))
            @staticmethod
            def mail(order): ...
        """,
        "retry_exception_filter must be exception classes, not 'OSError'.",
    ),
    "factory": (
        """
        class Endpoint(EndpointTasks):
            @deferrable_task(task_args_factory=([], {}))
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: task_args_factory must be callable, not ([], {}).",
    ),
    "priority": (
        """
        class Endpoint(EndpointTasks):
            @task(priority="high")
            def a(self): ...
        """,
        "Endpoint.a: priority must be an integer, not 'high'.",
    ),
    "arguments": (
        """
        class Endpoint(EndpointTasks):
            @task
            def a(self, order): ...
        """,
        "Endpoint.a: a @task must be a method whose only argument is self.",
    ),
    "coroutine": (
        """
        class Endpoint(EndpointTasks):
            @task
            async def a(self): ...
        """,
        "Endpoint.a: a @task runs in a thread of the request, even if the view is async, so it "
        "cannot be a coroutine function.",
    ),
    "coroutine as the condition": (
        """
        class Endpoint(EndpointTasks):
            async def unless(self): ...
            @deferrable_task(execute_unless=unless)
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: execute_unless is a coroutine function, which nobody awaits: use def.",
    ),
    "coroutine as the flag": (
        """
        async def never(self): ...
        class Endpoint(EndpointTasks):
            @deferrable_task(always_defer=never)
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: always_defer is a coroutine function, which nobody awaits: use def.",
    ),
    "coroutine as the runner": (
        """
        class Runner:
            async def __call__(self, call, endpoint): ...
        class Endpoint(EndpointTasks):
            @deferrable_task(task_runner=Runner())
            @staticmethod
            def mail(order): ...
        """,
        "Endpoint.mail: task_runner is a coroutine function, which nobody awaits: use def.",
    ),
    "coroutine as the resource": (
        """
        class Endpoint(EndpointTasks):
            async def resource(self): ...
        """,
        "Endpoint.resource is a coroutine function, which nobody awaits. Define it with def: it is "
        "called in a thread, by async views too.",
    ),
    "coroutine that would let everybody in": (
        """
        from taskworks.endpoints import EndpointDefinition
        class Endpoint(EndpointDefinition):
            async def is_authorized(self): ...
        """,
        "Endpoint.is_authorized is a coroutine function, which nobody awaits.",
    ),
    "coroutine as a handler": (
        """
        class Endpoint(EndpointTasks, APIView):
            async def post(self, request): ...
        """,
        "Endpoint.post is a coroutine function, which Django REST framework does not await. Use a "
        "view of adrf, whose generic views call perform_acreate and perform_aupdate.",
    ),
    "coroutine that would save": (
        """
        from rest_framework import generics
        class Endpoint(EndpointTasks, generics.CreateAPIView):
            async def perform_create(self, serializer): ...
        """,
        "Endpoint.perform_create is a coroutine function, which Django REST framework does not",
    ),
    "coroutine that adrf does not call": (
        """
        from adrf import generics
        class Endpoint(EndpointTasks, generics.UpdateAPIView):
            async def perform_update(self, serializer): ...
        """,
        "Endpoint.perform_update is a coroutine function, which Django REST framework does not",
    ),
    "depends on what": (
        """
        class Endpoint(EndpointTasks):
            @task(depends_on=7)
            def a(self): ...
        """,
        "Endpoint.a: depends_on must be a task or its name, not 7.",
    ),
    "bases": (
        """
        class Endpoint(APIView, EndpointTasks):
            pass
        """,
        "Endpoint: list EndpointTasks before the view among the base classes",
    ),
}


def define(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a module with this class."""
    names = "from taskworks.endpoints import EndpointTasks, deferrable_task, task\n"
    view = "from rest_framework.views import APIView\n"
    (tmp_path / "endpoint_of_a_test.py").write_text(names + view + dedent(source))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "endpoint_of_a_test", raising=False)
    importlib.invalidate_caches()
    return importlib.import_module("endpoint_of_a_test")


@pytest.mark.parametrize(("source", "sentence"), CLASSES.values(), ids=CLASSES)
def test_a_class_is_refused(
    source: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidEndpoint) as caught:
        define(source, tmp_path, monkeypatch)
    assert sentence in str(caught.value)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="hidden"):
        task(hidden=True)
    with pytest.raises(TypeError, match="hidden"):
        deferrable_task(hidden=True)


def test_a_refusal_is_told_by_a_check_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the code that imports it may have hidden the error."""
    with pytest.raises(InvalidEndpoint):
        define(CLASSES["circle"][0], tmp_path, monkeypatch)
    [message] = [message for message in run_checks() if message.id == "taskworks.E020"]
    assert "in a circle: a -> b -> c -> a." in message.msg
    define("class Endpoint(EndpointTasks): pass", tmp_path, monkeypatch)
    assert [message for message in run_checks() if message.id == "taskworks.E020"] == []


def test_a_class_that_is_not_where_it_says_is_told_by_a_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
    class Endpoint(EndpointTasks):
        @deferrable_task
        @staticmethod
        def mail(order): ...
    kept = Endpoint
    Endpoint = None
    """
    module = define(source, tmp_path, monkeypatch)
    [message] = [message for message in run_checks() if message.id == "taskworks.E021"]
    assert "'endpoint_of_a_test.Endpoint' does not exist, or is something else" in message.msg
    module.Endpoint = module.kept
    assert [message for message in run_checks() if message.id == "taskworks.E021"] == []


def test_a_backend_whose_runs_cannot_wait_is_told_by_a_check() -> None:
    tasks = {"default": {"BACKEND": "tests.endpoints.backend.PlainBackend", "QUEUES": []}}
    with override_settings(TASKS=tasks):
        messages = [message for message in run_checks() if message.id == "taskworks.E022"]
    assert (
        "Chained.ask_how_it_was depends on 'ship', but the backend 'default', a PlainBackend"
        in (" ".join(message.msg for message in messages))
    )
    assert [message for message in run_checks() if message.id == "taskworks.E022"] == []


def test_a_backend_that_knows_no_delay_is_named(order: Order, settings: Settings) -> None:
    settings.TASKS = {"default": {"BACKEND": IMMEDIATE, "QUEUES": []}}
    with pytest.raises(InvalidEndpoint, match=r"^Everything\.later: Backend does not"):
        APIClient().post("/Everything/A7/")


WITHOUT = """
import sys
sys.modules["rest_framework"] = None
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "taskworks",
    ]
)
django.setup()
import taskworks, taskworks.admin.run_admin, taskworks.worker, taskworks.testing
import taskworks.endpoints
"""


@pytest.mark.any_database
def test_without_the_framework_everything_else_works() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert done.stderr.endswith(
        "ImportError: taskworks.endpoints needs Django REST framework: "
        "pip install 'django-taskworks[rest]'.\n"
    )
    assert "line 17" in done.stderr


def test_a_view_without_deferrable_tasks_may_be_anywhere() -> None:
    class Endpoint(EndpointTasks, APIView):
        @task
        def a(self) -> None: ...

    assert Endpoint in Endpoint.__mro__
