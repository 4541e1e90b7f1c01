"""What ``manage.py check`` finds if only a project's own modules import parts of Taskworks."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

PROJECT = """
from django.conf import settings
from django.core.management import execute_from_command_line
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "taskworks", "shop"],
    ROOT_URLCONF="urls",
    TASKS={"default": {"BACKEND": "taskworks.backends.dummy.DummyBackend"}},
)
execute_from_command_line(["manage.py", "check"])
"""
TWO_OF_ONE_NAME = """
from taskworks.typed import TypedTask, api_task
@api_task
class Sum(TypedTask):
    def run(self): ...
@api_task
class Total(TypedTask):
    name = "Sum"
    def run(self): ...
"""
WITHOUT_ITS_INPUT = """
from taskworks.typed import TypedTask, params
class Sum(TypedTask):
    inputs = {"a": params.IntParameter()}
    def run(self): ...
"""
FOR_NOBODY = """
from taskworks.typed import TypedTask, api_task
@api_task
class Sum(TypedTask):
    permission_classes = ["shop.absent"]
    def run(self): ...
"""
AN_ENDPOINT = """
from contextlib import suppress
from rest_framework.generics import GenericAPIView
from taskworks.endpoints import EndpointTasks, deferrable_task
urlpatterns = []
with suppress(Exception):
    class Order(EndpointTasks, GenericAPIView):
        @deferrable_task(depends_on="nothing")
        @staticmethod
        def charge(order): ...
"""
NOT_IMPORTED = """
from taskworks.typed import api_task
1 / 0
"""
BECAUSE = "cannot be imported"
NO_URLS = "urlpatterns = []"
THE_API = """
from django.urls import include, path
urlpatterns = [path("", include("taskworks.rest.urls"))]
"""


@pytest.mark.parametrize(
    ("tasks", "urls", "error"),
    [
        (TWO_OF_ONE_NAME, NO_URLS, "(taskworks.E030) Two tasks are offered as 'Sum'"),
        (WITHOUT_ITS_INPUT, NO_URLS, "(taskworks.E031) Sum.run does not accept the input 'a'"),
        (FOR_NOBODY, THE_API, "(taskworks.E041) The task 'Sum' has permission_classes"),
        ("", AN_ENDPOINT, "(taskworks.E020)"),
        (NOT_IMPORTED, NO_URLS, f"(taskworks.E030) The module shop.tasks {BECAUSE}"),
        (NOT_IMPORTED, NO_URLS, f"(taskworks.W050) The module shop.tasks {BECAUSE}"),
    ],
)
def test_a_project_is_refused(tmp_path: Path, tasks: str, urls: str, error: str) -> None:
    done = check(PROJECT, tmp_path, tasks, urls)
    assert error in done.stderr
    assert done.returncode != 0


def test_a_backend_that_cannot_be_used_is_one_error(tmp_path: Path) -> None:
    project = PROJECT.replace("DummyBackend", "DumyBackend")
    done = check(project, tmp_path, TWO_OF_ONE_NAME, THE_API)
    assert "(taskworks.E008) TASKS['default']['BACKEND'] is" in done.stderr
    assert "identified 1 issue" in done.stderr


def check(project: str, tmp_path: Path, tasks: str, urls: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "tasks.py").write_text(tasks)
    (tmp_path / "urls.py").write_text(urls)
    return subprocess.run(
        [sys.executable, "-c", project], cwd=tmp_path, capture_output=True, text=True, check=False
    )
