"""A project that names the backend in TASKS, and does not have the app in INSTALLED_APPS."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

PROJECT = """
import sys, django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["shop"],
    ROOT_URLCONF="urls",
    TASKS={"default": {"BACKEND": "taskworks.backends.database.DatabaseBackend"}},
)
"""
CHECK = """
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "check"])
"""
ENQUEUE = """
django.setup()
from shop.tasks import noop
noop.enqueue()
"""
READ = """
django.setup()
from taskworks import default_task_backend
default_task_backend.get_result("01a1f8df-5ebf-7bee-a211-e2521ee83faf")
"""
A_TASK = """
from taskworks import task
@task
def noop(): ...
"""
IMPORT = "from shop.tasks import noop\n"
SENTENCE = (
    "django.core.exceptions.ImproperlyConfigured: Taskworks stores runs in tables of the app "
    "'taskworks', which is not in INSTALLED_APPS. Add 'taskworks' to INSTALLED_APPS, and run "
    "'manage.py migrate'."
)


@pytest.mark.parametrize(
    ("models", "urls", "does", "error"),
    [
        (IMPORT, "", CHECK, "(taskworks.E001) The backend 'default' stores runs in tables"),
        (IMPORT, "", ENQUEUE, SENTENCE),
        ("", IMPORT, CHECK, SENTENCE),
        ("", "", READ, SENTENCE),
    ],
    ids=["check, with models", "enqueue", "check, with URLs", "get_result"],
)
def test_it_is_told_which_setting_lacks_what(
    tmp_path: Path, models: str, urls: str, does: str, error: str
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "tasks.py").write_text(A_TASK)
    (tmp_path / "shop" / "models.py").write_text(models)
    (tmp_path / "urls.py").write_text(f"{urls}urlpatterns = []")
    (tmp_path / "manage.py").write_text(PROJECT + does)
    ended = subprocess.run(
        [sys.executable, "manage.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert error in ended.stderr
