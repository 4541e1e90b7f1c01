import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.docs.pages import SNIPPETS

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
Settings = Any


@pytest.fixture(autouse=True)
def _as_a_reader_has_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The snippets are importable, and the tutorial's settings are in force."""
    monkeypatch.syspath_prepend(str(SNIPPETS))
    monkeypatch.chdir(tmp_path)
    settings.TASKS = run("shop/settings.py")["TASKS"]


@pytest.fixture
def sleeping_works(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """While a snippet sleeps, a worker runs what is ready."""
    monkeypatch.setattr(time, "sleep", lambda seconds: work())
    yield
    monkeypatch.undo()


def run(snippet: str) -> dict[str, Any]:
    """Execute a file of snippets, and return the names it has defined."""
    path = SNIPPETS / snippet
    names: dict[str, Any] = {"__name__": "snippet", "__file__": str(path)}
    exec(compile(path.read_text(), path, "exec"), names)
    return names


def work() -> None:
    """Run a worker in this process until nothing is ready."""
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        call_command("taskworks", "worker", "--batch", verbosity=0)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
