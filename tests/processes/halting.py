"""Settings of a worker whose second writer halts, before it has written something or after it."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as APPS

HALTS, HALTED = "TASKWORKS_TEST_HALTS", "TASKWORKS_TEST_HALTED"  # "before" or "after", and a file
INSTALLED_APPS = [*APPS, "tests.processes.halting.Halting"]


class Halting(AppConfig):
    name = "tests.processes"
    label = "processes_halting"

    def ready(self) -> None:
        from taskworks.store import store

        kind = type(store())
        finish = kind.finish

        def halting(self: Any, runs: Sequence[Any], *columns: Any) -> Any:
            if threading.current_thread().name != "taskworks-second-writer":
                return finish(self, runs, *columns)
            if os.environ[HALTS] == "after":
                finish(self, runs, *columns)
            Path(os.environ[HALTED]).write_text("\n".join(str(run.id) for run in runs))
            return threading.Event().wait()

        kind.finish = halting  # type: ignore[assignment, method-assign]
