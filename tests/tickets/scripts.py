"""What the programs of these tests share: a project with an app whose tickets they send."""

import os
import sys
from uuid import uuid4

import django
from celery import Celery
from django.conf import settings

from tests.tickets import celery_project


def set_up(app: str = "tests.tickets.celery_project:app") -> None:
    """The first argument is the broker's address, the second the name of the queue."""
    broker, queue = sys.argv[1:]
    celery_project.app = Celery("tests-of-tickets", broker=broker, set_as_current=False)
    celery_project.app.conf.task_default_queue = queue
    entry = {
        "BACKEND": "taskworks.backends.celery.CeleryBackend",
        "QUEUES": [],
        "OPTIONS": {"CELERY_APP": app},
    }
    from tests import settings as of_tests

    settings.configure(
        **{name: value for name, value in vars(of_tests).items() if name.isupper()}
        | {"TASKS": {"default": entry}}
    )
    django.setup()


def enqueue() -> str:
    """As the store does on a commit; the id of the run that a ticket is for."""
    from taskworks.backends.celery.messenger import messenger
    from taskworks.database.messengers import Call, ReadyRun

    run = ReadyRun(uuid4(), {})
    messenger.tell("default", "default", [Call(1, [run])])
    return str(run.id)


def print_at_once(line: str) -> None:
    """Of a process that may print beside another one: ``print`` writes the end of a line later."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())
