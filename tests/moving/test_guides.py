"""
Projects that use RQ, Huey and django-q2, with their real workers, are moved by the steps of the
guides. Afterwards their tasks do the same, without those packages.
"""

import os
import shutil
import subprocess
import tempfile
from ast import literal_eval
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.moving import required
from tests.moving.guides import Project
from tests.waiting import wait_for

pytestmark = [pytest.mark.any_database, pytest.mark.not_every_day]

USE_IT = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
from shop import orders
first = orders.place_order("ada@example.com", "three short words")
if hasattr(orders, "plan"):
    orders.plan()
"""
# Processes are dear, so one of them does all that comes after the guide.
EXECUTE_AND_TELL = """
call_command("taskworks", "worker", "--batch")
from taskworks.models import Schedule, TaskRun
print({
    "result": orders.words_of(first),
    "failed": [*TaskRun.objects.filter(state="failed").values_list("task_path", "errors")],
    "schedules": [*Schedule.objects.values_list("path", flat=True)],
})
"""
WITHOUT = """
import sys
for name in "rq django_rq huey django_q redis".split():
    sys.modules[name] = None
"""


@pytest.fixture
def redis() -> Iterator[str]:
    """The address of a Redis server of this test's own."""
    program = shutil.which("redis-server")
    if program is None:
        assert not os.environ.get("CI"), "redis-server is not on the PATH"
        pytest.skip("redis-server is not on the PATH")
    with tempfile.TemporaryDirectory() as folder:  # a socket's path may not be long
        socket = Path(folder, "redis.sock")
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as server:
            try:
                wait_for(socket.exists, "Redis listens")
                yield f"unix://{socket}"
            finally:
                server.terminate()


def use(project: Project, work: Callable[[], Any], expected: list[str]) -> None:
    """Use the project, while its tasks are executed."""
    first = project.python(f"{USE_IT}\nprint(first)")
    with work():
        wait_for(lambda: project.noted() == expected, f"its tasks have noted {expected}")
        ask = f"from shop.orders import words_of; print(words_of({first!r}))"
        wait_for(lambda: project.python(ask) == "3", "the first has a result")


def move(project: Project, page: str, expected: list[str], schedules: list[str]) -> None:
    """Follow the guide; the same is done as before, without the package."""
    project.follow_the_guide(page)
    hidden = project.root / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(WITHOUT)
    project.environment["PYTHONPATH"] += os.pathsep + str(hidden)
    told = literal_eval(project.python(USE_IT + EXECUTE_AND_TELL))
    assert told == {"result": 3, "failed": [], "schedules": schedules}
    assert project.noted() == expected


def test_from_rq(tmp_path: Path, redis: str) -> None:
    required("django_rq")
    project = Project("rq", tmp_path, SHOP_REDIS=redis)
    expected = [
        "3 words",
        "thanks to ada@example.com",
        "to ada@example.com",
        "to ada@example.com",
    ]

    def work() -> Any:
        project.manage("rqworker", "default", "mail", "--burst")
        return nullcontext()

    use(project, work, expected)
    move(project, "coming-from-rq.md", expected, [])


def test_from_huey(tmp_path: Path, redis: str) -> None:
    required("huey")
    required("redis")
    project = Project("huey", tmp_path, SHOP_REDIS=redis, SHOP_NAME="shop")
    expected = [
        "3 words",
        "thanks to ada@example.com for 3 words",
        "to ada@example.com",
        "to ada@example.com",
    ]
    use(project, lambda: project.running("run_huey", "--no-periodic"), expected)
    move(project, "coming-from-huey.md", expected, ["shop.tasks.clean_up"])


def test_from_django_q2(tmp_path: Path) -> None:
    required("django_q")
    project = Project("q2", tmp_path)
    expected = ["3 words", "thanks to ada@example.com", "to ada@example.com"]
    project.manage("migrate", "-v", "0")
    use(project, lambda: project.running("qcluster"), expected)
    project.root.joinpath("db.sqlite3").unlink()
    move(project, "coming-from-django-q2.md", expected, ["shop.tasks.clean_up"])
