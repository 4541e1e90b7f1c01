"""
``python -m tests.moving.killed PLACE COUNT ...`` is ``manage.py taskworks ...``, which is killed
when the method at this place has been called so often.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def kill_at(place: str, count: int) -> None:
    """Kill this process after ``count`` calls of a method, and before the next statement."""
    from django.utils.module_loading import import_string

    where, _, name = place.rpartition(".")
    owner = import_module(where) if where.islower() else import_string(where)
    original: Callable[..., Any] = getattr(owner, name)
    calls = []

    def call(*args: Any) -> Any:
        returned = original(*args)
        calls.append(returned)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return returned

    setattr(owner, name, call)


def move_and_be_killed(place: str, count: int, *arguments: str, **environment: str) -> None:
    """Run this module in a process of its own, and expect it to be killed."""
    process = subprocess.run(
        [sys.executable, "-m", __name__, place, str(count), *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stdout + process.stderr


def main() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    from taskworks.moving import move

    move.AT_A_TIME = 2
    place, count, *arguments = sys.argv[1:]
    kill_at(place, int(count))
    call_command("taskworks", *arguments)


if __name__ == "__main__":
    main()
