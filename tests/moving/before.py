"""A project before it moves: its settings, and ``python -m tests.moving.before PATH NUMBER``."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, TASKS

INSTALLED_APPS = [*INSTALLED_APPS, *(["django_rq"] if find_spec("django_rq") else [])]
QUEUE = os.environ.get("MOVING_QUEUE", "default")
RQ_QUEUES = {name: {"URL": os.environ.get("MOVING_REDIS", "")} for name in ("default", QUEUE)}
TASKS = {**TASKS, "default": {"BACKEND": os.environ.get("MOVING_BACKEND", ""), "QUEUES": []}}


def main() -> None:
    """Enqueue as many notes as the last argument says, into a file."""
    import django

    django.setup()
    from tests.moving.noting import note

    path, number = sys.argv[1:]
    task = note.using(queue_name=QUEUE)
    ids = [task.enqueue(path, str(index)).id for index in range(int(number))]
    Path(path).with_suffix(".ids").write_text("\n".join(ids))


if __name__ == "__main__":
    main()
