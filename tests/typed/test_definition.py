"""Which typed tasks can be defined, which are offered, and what the checks report."""

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from taskworks import discovery, task
from taskworks.discovery import resolve
from taskworks.exceptions import InvalidTask
from taskworks.typed import TypedTask, api_task, registry, typed_task
from tests.behavior import Settings
from tests.typed import declared

pytestmark = [pytest.mark.any_database, pytest.mark.usefixtures("_forgets")]

HEAD = """
from taskworks import task
from taskworks.typed import TypedTask, api_task
from taskworks.typed.params import *
"""


@pytest.fixture
def _forgets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_decorated", {**registry._decorated})
    yield
    typed_task.refused.clear()
    sys.modules.pop("typed_of_a_test", None)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write the module ``typed_of_a_test``."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str) -> None:
        (tmp_path / "typed_of_a_test.py").write_text(HEAD + dedent(source))

    return write


def offer(settings: Settings, *paths: str) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "API_TASKS": [*paths]}


def problems() -> dict[str, str]:
    return {
        str(message.id): str(message.msg)
        for message in run_checks()
        if str(message.id).startswith("taskworks.")
    }


REFUSED = [
    ("inputs = {'a': StringParameter(pattern='(')}\n    def run(self, a): ...", "T: 'a', <String"),
    ("outputs = {'a': IntParameter(min_value='x')}\n    def run(self): ...", "T: 'a', <IntPara"),
    ("outputs = {'a': ListParameter(StringParameter(pattern='('))}\n    def run(self): ...", "'a'"),
    (
        "inputs = {'a': IntParameter()}\n    def run(self): ...",
        "T.run does not accept the input 'a'",
    ),
    (
        "inputs = {'self': IntParameter()}\n    def run(self, **inputs): ...",
        "T.run does not accept the input 'self'",
    ),
    (
        "inputs = {'a': IntParameter(required=False)}\n    def run(self, a): ...",
        "T.run requires 'a', which is an optional input",
    ),
    ("def run(self, a): ...", "T.run requires 'a', which is not an input"),
    ("def run(self, *, a): ...", "T.run requires 'a', which is not an input"),
    ("def run(self, a, /): ...\n    inputs = {'a': IntParameter()}", "does not accept the input"),
    ("run = 5", "T.run must be a method"),
    ("@staticmethod\n    def run(): ...", "T.run must be a method"),
    ("def run(): ...", "T.run must be a method"),
    ("inputs = {'a': int}\n    def run(self, a): ...", "must be a parameter"),
    ("inputs = [1]\n    def run(self): ...", "inputs"),
    ("name = 5\n    def run(self): ...", "T.name must be a string"),
    ("max_attempts = 0\n    def run(self): ...", "max_attempts"),
    ("queue_name = 'nowhere'\n    def run(self): ...", "nowhere"),
    ("inputs = {'a': IntParameter(default='x')}\n    def run(self, a): ...", "does not fit"),
]


@pytest.mark.parametrize(("body", "reason"), REFUSED, ids=repr)
def test_a_class_that_cannot_be_is_refused_at_start(
    module: Any, settings: Settings, body: str, reason: str
) -> None:
    module(f"class T(TypedTask):\n    {body}\n")
    offer(settings, "typed_of_a_test.T")
    found = problems()
    assert reason in found["taskworks.E030"]
    assert reason in found["taskworks.E031"]
    with pytest.raises(ImproperlyConfigured, match="TASKWORKS\\['API_TASKS'\\] has 'typed_of"):
        registry.offered()


def test_an_error_that_was_hidden_is_reported_by_a_check(module: Any) -> None:
    module("try:\n    class T(TypedTask):\n        run = 5\nexcept Exception:\n    pass")
    __import__("typed_of_a_test")
    assert "T.run must be a method" in problems()["taskworks.E031"]


FUNCTIONS = [
    ("def f(a): ...", "f(a): an argument of a typed task needs an annotation"),
    ("def f(*a: int): ...", "f(a): a typed task accepts only named arguments"),
    ("def f(**a: int): ...", "accepts only named arguments"),
    ("def f(a: int, /): ...", "accepts only named arguments"),
    ("def f(a: TypedTask): ...", "f: 'a', <AnnotatedParameter>, cannot be validated"),
    ("def f(a: 'Unknown'): ...", "annotations cannot be read: name 'Unknown' is not defined. A ty"),
    ("def f() -> 'Unknown': ...", "import their types outside of `if TYPE_CHECKING`"),
    ("def f(a: int = 'x'): ...", "does not fit"),
]


@pytest.mark.parametrize(("function", "reason"), FUNCTIONS, ids=repr)
def test_a_function_that_cannot_be_is_refused(module: Any, function: str, reason: str) -> None:
    module(f"@task(typed=True)\n{function}\n")
    with pytest.raises(InvalidTask) as caught:
        __import__("typed_of_a_test")
    assert reason in str(caught.value)


def test_the_annotation_of_a_context_may_be_for_type_checkers_only(module: Any) -> None:
    module("@task(typed=True, takes_context=True)\ndef f(context: 'TaskContext', a: 'int'): ...\n")
    f = importlib.import_module("typed_of_a_test").f
    assert [*f.inputs] == ["a"]


def test_a_class_must_be_at_the_top_of_a_module() -> None:
    with pytest.raises(InvalidTask, match="it is defined inside test_a_class_must"):

        class Inner(TypedTask):
            def run(self) -> None: ...


def test_a_class_without_run_is_a_base() -> None:
    class Base(TypedTask):
        queue_name = "mail"

    assert not hasattr(Base, "task")


def test_a_tasks_path_leads_to_it() -> None:
    assert resolve("tests.typed.declared.Sum.task") is declared.Sum.task
    assert declared.Sum.task.name == "Sum"
    assert declared.Sum.task.typed.description == "Add numbers."
    assert declared.describe.inputs is not None


# Which are offered.


def test_those_of_the_settings_are_offered(settings: Settings) -> None:
    offer(settings, "tests.typed.declared.Sum", "tests.typed.declared.describe")
    settings.TASK_API_BACKGROUND_TASKS = ["tests.typed.declared.Divide", "tests.typed.declared.Sum"]
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"slow": "1/day"}}
    offered = registry.offered()
    assert offered["sum"] is declared.Sum.task
    assert registry.find("describe") is declared.describe
    assert registry.find("Divide") is declared.Divide.task
    assert registry.find("Sum") is None
    assert registry.named("tests.typed.declared.Sum.task") == "sum"
    assert registry.named("tests.typed.declared.Note.task") is None
    assert registry.offered() is offered
    assert problems() == {}


def test_those_decorated_are_offered() -> None:
    ordered = registry.find("ordered")
    assert ordered is declared.ordered
    assert ordered.typed.throttle_scope == "slow"
    assert ordered.typed.permission_classes is None


def test_a_decorated_class_is_offered(module: Any) -> None:
    module(
        """
        @api_task
        class T(TypedTask):
            permission_classes = ["x"]
            def run(self): ...
        """
    )
    imported: Any = __import__("typed_of_a_test")
    assert registry.find("T") is imported.T.task
    assert imported.T.task.typed.permission_classes == ["x"]


@pytest.fixture
def app(
    module: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Install ``app_of_a_test``; return a function that writes its ``tasks`` module."""
    module("")
    app = tmp_path / "app_of_a_test"
    app.mkdir()
    (app / "__init__.py").write_text("")
    (app / "tasks.py").write_text("")
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "app_of_a_test"]
    monkeypatch.setattr(discovery, "failed", {})
    monkeypatch.setattr(registry, "_cache", (None, {}))  # made before the app was installed
    yield (app / "tasks.py").write_text
    for name in [name for name in sys.modules if name.startswith("app_of_a_test")]:
        del sys.modules[name]


def test_an_apps_tasks_are_found(app: Any) -> None:
    app(HEAD + "@api_task\n@task(typed=True)\ndef found_by_itself() -> None: ...\n")
    assert registry.find("found_by_itself") is not None


def test_while_an_apps_tasks_cannot_be_imported_none_is_offered(app: Any) -> None:
    app("1 / 0")
    what = "app_of_a_test.tasks cannot be imported.*: ZeroDivisionError: division by zero"
    assert re.search(what, problems()["taskworks.E030"])
    with pytest.raises(ImproperlyConfigured, match=what):
        registry.offered()
    app("import math")  # of another length; otherwise Python would use the compiled file
    assert isinstance(registry.offered(), dict)
    assert not discovery.failed


@pytest.mark.parametrize("declaration", [5, str, task, TypedTask, lambda: None])
def test_what_is_no_typed_task_is_not_offered(declaration: Any) -> None:
    with pytest.raises(InvalidTask, match="is not a typed task"):
        api_task(declaration)


@pytest.mark.parametrize("setting", ["API_TASKS", "TASK_API_BACKGROUND_TASKS"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere.Sum", "cannot be imported: ModuleNotFoundError"),
        ("tests.typed.declared.Nowhere", "cannot be imported: ImportError"),
        ("tests.typed.declared.Size", "is not a typed task"),
        ("tests.tasks.noop", "is not a typed task"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(
    settings: Settings, setting: str, path: str, reason: str
) -> None:
    if setting == "API_TASKS":
        offer(settings, path, "tests.typed.declared.Sum")
    else:
        settings.TASK_API_BACKGROUND_TASKS = [path, "tests.typed.declared.Sum"]
    assert reason in problems()["taskworks.E030"]
    assert setting in problems()["taskworks.E030"]
    with pytest.raises(ImproperlyConfigured, match=reason.partition(":")[0]):
        registry.find("sum")


@pytest.mark.parametrize("value", ["tests.typed.declared.Sum", None, 5, [5], ["Sum"], {}])
def test_the_seeds_setting_is_a_list_of_paths(settings: Settings, value: Any) -> None:
    settings.TASK_API_BACKGROUND_TASKS = value
    assert "must be a list of dotted paths" in problems()["taskworks.E030"]


def test_a_class_in_the_settings_is_refused(settings: Settings) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "API_TASKS": [declared.Sum]}
    assert "'API_TASKS'] must be a list of dotted paths" in problems()["taskworks.E004"]


def test_a_name_twice_is_refused(module: Any, settings: Settings) -> None:
    module("class T(TypedTask):\n    name = 'sum'\n    def run(self): ...\n")
    offer(settings, "typed_of_a_test.T", "tests.typed.declared.Sum")
    assert problems()["taskworks.E030"] == (
        "Two tasks are offered as 'sum': typed_of_a_test.T.task and tests.typed.declared.Sum.task. "
        "Rename one of them."
    )
    with pytest.raises(ImproperlyConfigured, match="Two tasks are offered as 'sum'"):
        registry.find("other")


@pytest.mark.parametrize("queryset", ["'shop.Nothing'", "lambda: 1 / 0", "5"])
def test_rows_that_there_cannot_be_are_refused(
    module: Any, settings: Settings, queryset: str
) -> None:
    source = f"inputs = {{'a': ModelParameter({queryset})}}\n    def run(self, a): ..."
    module(f"class T(TypedTask):\n    {source}\n")
    offer(settings, "typed_of_a_test.T")
    found = problems()["taskworks.E033"]
    assert found.startswith("The inputs of 'typed_of_a_test.T.task' have no JSON Schema: ")


def test_a_task_that_no_worker_finds_is_refused(module: Any, settings: Settings) -> None:
    module("class T(TypedTask):\n    def run(self): ...\nOther, T = T, 5\n")
    offer(settings, "typed_of_a_test.Other")
    assert (
        "'typed_of_a_test.T.task' does not exist, or is something else"
        in problems()["taskworks.E032"]
    )


# From the start of a process.

START = """
import sys
from django.conf import settings
from django.core.management import execute_from_command_line
if {blocked}:
    sys.modules["pydantic"] = None
settings.configure(
    INSTALLED_APPS=["taskworks"],
    TASKS={{"default": {{"BACKEND": "taskworks.backends.dummy.DummyBackend"}}}},
    {setting},
)
execute_from_command_line(["manage.py", "check"])
"""
PATHS = "['typed_of_a_test.T', 'nowhere.T']"


@pytest.mark.parametrize(
    ("setting", "blocked", "reason"),
    [
        (f"TASKWORKS={{'API_TASKS': {PATHS}}}", False, "(taskworks.E030) TASKWORKS['API_TASKS']"),
        (f"TASK_API_BACKGROUND_TASKS={PATHS}", False, "(taskworks.E030) TASK_API_BACKGROUND_TASKS"),
        (f"TASK_API_BACKGROUND_TASKS={PATHS}", True, "pip install 'django-taskworks[typed]'"),
        ("DEBUG=True", True, ""),
    ],
)
def test_a_project_is_refused_at_its_start(
    module: Any, tmp_path: Path, setting: str, blocked: bool, reason: str
) -> None:
    module("class T(TypedTask):\n    inputs = {'a': IntParameter()}\n    def run(self): ...\n")
    start = START.format(setting=setting, blocked=blocked)
    done = subprocess.run(
        [sys.executable, "-c", start], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == bool(reason)
    assert reason in done.stderr
    if reason.startswith("("):
        assert "T.run does not accept the input 'a'" in done.stderr
        assert "nowhere.T" in done.stderr


WITHOUT_PYDANTIC = """
import sys
sys.modules["pydantic"] = None
import django
from django.conf import settings
of_django = ["django.contrib.auth", "django.contrib.contenttypes"]
settings.configure(INSTALLED_APPS=[*of_django, "taskworks"])
django.setup()
import taskworks.dashboard.urls, taskworks.management.commands.taskworks
from taskworks.management.subcommands import SUBCOMMANDS
assert all(subcommand.load() for subcommand in SUBCOMMANDS.values())
from taskworks.filtering import parse
print(parse({"task": "shop.tasks.send"}).tasks)
"""


def test_commands_filters_and_pages_do_without_pydantic() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYDANTIC], capture_output=True, text=True, check=False
    )
    assert "shop.tasks.send" in done.stdout, done.stderr
