"""
A project that uses Celery is moved by the steps of the guide. Its own tests pass before, with
Celery, and after, without.
"""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT
from tests.moving import required

required("django_celery_beat")
required("django_celery_results")

pytestmark = pytest.mark.any_database

BEFORE = Path(__file__).parent / "project"
PAGE = (DOCS / "howto" / "coming-from-celery.md").read_text()
APPS = ("mailing", "orders", "reports")
TESTS = 38
# What a module of this name does first: packages that are not installed cannot be imported.
WITHOUT_CELERY = """
import sys
for name in "celery kombu billiard amqp django_celery_beat django_celery_results".split():
    sys.modules[name] = None
"""
FILL_THE_TABLES = """
from django_celery_beat.schedulers import DatabaseScheduler
from shop.celery import app
DatabaseScheduler(app=app, lazy=False).setup_schedule()
"""
USE_IT = """
from datetime import date
from decimal import Decimal
from orders.models import Item, Order, Product
from orders.services import cancel_order, place_order, ship_order
from orders.tasks import import_catalogue
from django.utils import timezone
from reports.tasks import daily_report, export_orders, wait_for_export
from taskworks.testing import run_tasks

import_catalogue.delay()
run_tasks()
order = place_order("ada@example.com", {"tea-1": 9})
run_tasks()
order.refresh_from_db()
ship_order(order, timezone.now())
cancel_order(place_order("bob@example.com", {"tea-1": 1}))
daily_report.delay(date(2026, 1, 5))
wait_for_export.delay(export_orders.delay().id, "ada@example.com")
"""
SHOW_IT = """
import json
from collections import Counter
from taskworks.models import Schedule, TaskRun
print(json.dumps({
    "runs": Counter(f"{run.task_path} {run.state}" for run in TaskRun.objects.all()),
    "schedules": {s.label: [s.path, s.in_words()] for s in Schedule.objects.all()},
}))
"""


class Project:
    """A copy of the project, in which commands are executed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(BEFORE, root, ignore=shutil.ignore_patterns("__pycache__"))
        self.path = [str(ROOT / "src")]

    def manage(self, *arguments: str, **environment: str) -> str:
        """What a command of manage.py prints; it must succeed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.root,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("DJANGO")},
                "PYTHONPATH": os.pathsep.join(self.path),
                "SHOP_DATABASE": str(self.root / "db.sqlite3"),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def test(self) -> None:
        """Run its own tests, which pass."""
        printed = self.manage("test", "--settings", "shop.settings_test")
        assert re.search(rf"Ran {TESTS} tests .*\n\nOK", printed), printed

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text()
        assert text.count(old) == 1, (path, old)
        file.write_text(text.replace(old, new))

    def changes(self) -> str:
        """What differs from the project before, as the guide prints it."""
        return "".join(
            line
            for path in sorted(BEFORE.rglob("*.py"))
            for line in difflib.unified_diff(
                path.read_text().splitlines(keepends=True),
                (self.root / path.relative_to(BEFORE)).read_text().splitlines(keepends=True),
                str(path.relative_to(BEFORE)),
                str(path.relative_to(BEFORE)),
                n=0,
            )
            if not line.startswith("@@")
        )


def block(language: str) -> str:
    """The first block of the guide in this language."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def change_the_code(project: Project) -> None:
    subprocess.run(["/bin/sh", "-c", block("sh")], cwd=project.root, check=True)
    tasks, immediate = re.findall(r"^\+(TASKS = .*\n)", block("diff"), re.MULTILINE)
    project.edit(
        "shop/settings.py",
        '    "django_celery_results",\n',
        '    "django_celery_results",\n    "taskworks",\n',
    )
    project.edit("shop/settings.py", "CELERY_BROKER_URL", f"{tasks}CELERY_BROKER_URL")
    project.edit("shop/settings_test.py", "CELERY_TASK_ALWAYS_EAGER = True\n", immediate)


def remove_celery(project: Project) -> None:
    (project.root / "shop" / "celery.py").unlink()
    (project.root / "shop" / "__init__.py").write_text("")
    settings = project.root / "shop" / "settings.py"
    text = re.sub(r"^CELERY_\w+ = (\{.*?^\}|.*?$)\n", "", settings.read_text(), flags=re.M | re.S)
    text = re.sub(r'^    "django_celery_\w+",\n', "", text, flags=re.M)
    settings.write_text(text.replace("from celery.schedules import crontab\n", ""))
    assert "celery" not in text.replace("from celery.schedules", "").lower()
    blocked = project.root.parent / "without_celery"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(WITHOUT_CELERY)
    project.path.insert(0, str(blocked))


@pytest.mark.timeout(1200)
def test_the_steps_of_the_guide(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.test()
    project.manage("migrate")
    project.manage("shell", "-c", FILL_THE_TABLES)

    change_the_code(project)
    assert project.changes() == block("diff")
    project.test()

    project.manage("migrate")
    [shown] = re.findall(r"import-schedules --dry-run\n(.*?)   ```", PAGE, re.DOTALL)
    printed = project.manage("taskworks", "import-schedules", "--dry-run")
    assert printed == re.sub("^   ", "", shown, flags=re.MULTILINE)
    assert "Disabled 4 in" in project.manage("taskworks", "import-schedules", "--disable-old")

    remove_celery(project)
    project.test()
    project.manage("shell", "-c", USE_IT)
    project.manage("taskworks", "worker", "--batch")
    found = json.loads(project.manage("shell", "-v", "0", "-c", SHOW_IT).splitlines()[-1])
    assert not [name for name in found["runs"] if name.endswith("failed")], found["runs"]
    assert found["runs"].keys() >= {
        "mailing.tasks.send_mail_to successful",
        "orders.tasks.announce_parcel successful",
        "orders.tasks.charge_order successful",
        "orders.tasks.import_catalogue successful",
        "reports.tasks.daily_report successful",
        "reports.tasks.export_orders successful",
    }
    assert {label: path for label, (path, _) in found["schedules"].items()} == {
        "cancel abandoned orders": "orders.tasks.cancel_abandoned",
        "daily report": "reports.tasks.daily_report",
        "newsletter": "mailing.tasks.send_newsletter",
        "watch stock": "orders.tasks.watch_stock",
    }


def test_the_changes_are_few() -> None:
    lines = sum(len(path.read_text().splitlines()) for path in BEFORE.rglob("*.py"))
    written = sum(
        len(path.read_text().splitlines())
        for path in BEFORE.rglob("*.py")
        if "migrations" not in path.parts
    )
    changed = len(re.findall(r"^\+(?!\+)", block("diff"), re.MULTILINE))
    assert f"which has {written} lines" in PAGE
    assert changed < written / 100 < lines / 100
