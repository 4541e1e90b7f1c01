"""The plugin: pytest offers the kit as fixtures, to any project, by itself."""

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.any_database

SETTINGS = """
SECRET_KEY = "of a project"
INSTALLED_APPS = ["django.contrib.contenttypes", "taskworks"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
TASKS = {"default": {"BACKEND": "taskworks.backends.database.DatabaseBackend"}}
USE_TZ = True
"""

TASKS = """
from taskworks import task

@task
def double(number):
    return number * 2
"""

TESTS = """
from datetime import timedelta

import pytest

from jobs import double

def test_the_clock_is_python_s():
    from taskworks.database.clock import DatabaseClock
    assert DatabaseClock.is_python_s

def test_run_tasks(run_tasks):
    double.enqueue(21)
    [result] = run_tasks()
    assert result.return_value == 42

def test_what_waits(enqueued, assert_enqueued, assert_not_enqueued):
    assert enqueued() == []
    assert_not_enqueued(double)
    double.enqueue(21)
    assert_enqueued(double, args=[21])

def test_the_clock(run_tasks, task_clock):
    double.using(run_after=timedelta(hours=1)).enqueue(21)
    assert run_tasks() == []
    task_clock.advance(hours=1)
    assert len(run_tasks()) == 1

def test_the_clock_is_back():
    from taskworks.database.clock import DatabaseClock
    assert not DatabaseClock.moved

def test_in_committed_transactions(transactional_db, run_tasks):
    from django.db import connection
    assert not connection.in_atomic_block
    double.enqueue(21)
    assert len(run_tasks()) == 1
"""

TESTS_WITHOUT_DJANGO = """
import sys

def test_nothing_is_set_up():
    from django.conf import settings
    assert "taskworks.testing.plugin" in sys.modules
    assert "taskworks.models" not in sys.modules
    assert "taskworks.testing.running" not in sys.modules
    assert not settings.configured
"""


@pytest.fixture(autouse=True)
def _project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")


def test_it_offers_the_kit_as_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(project_settings=SETTINGS, jobs=TASKS, test_jobs=TESTS)
    outcome = pytester.runpytest_subprocess("--ds=project_settings")
    outcome.assert_outcomes(passed=6)


@pytest.mark.not_every_day
def test_it_leaves_a_project_alone_that_does_not_use_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_plain=TESTS_WITHOUT_DJANGO)
    outcome = pytester.runpytest_subprocess("-p", "no:django")
    outcome.assert_outcomes(passed=1)
