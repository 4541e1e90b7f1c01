"""What Celery's tests find: an app, and a database; notes what becomes of each test."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.celery.names import install

install()

_outcomes: dict[str, str] = {}


@pytest.fixture(autouse=True)
def _an_app(request: pytest.FixtureRequest, db: None) -> None:
    from tests.conformance.celery.dressed_app import DressedApp

    if request.instance is not None:
        request.instance.app = DressedApp()


@pytest.fixture
def depends_on_current_app() -> None:
    """There is none."""


def pytest_runtest_logreport(report: Any) -> None:
    """Note the outcome; of a test that fails, the first line of the reason."""
    name = report.nodeid.partition("::")[2].replace("::", ".")
    if report.skipped:
        _outcomes.setdefault(name, "skipped")
    elif report.failed:
        reason = getattr(report.longrepr, "reprcrash", None)
        _outcomes[name] = (reason.message if reason else str(report.longrepr)).splitlines()[0]
    elif report.when == "call":
        _outcomes.setdefault(name, "passed")


def pytest_sessionfinish() -> None:
    """Write all outcomes."""
    Path(os.environ["CELERY_OUTCOMES"]).write_text(json.dumps(_outcomes))
