"""
Tasks that were written for Celery: its decorator, its methods and its results, executed by
Taskworks. Celery and a broker are not needed.
"""

from typing import NoReturn

from taskworks.celery import states
from taskworks.celery.decorators import App, shared_task
from taskworks.celery.not_carried import NotCarried, refuse_name
from taskworks.celery.result import AsyncResult, EagerResult
from taskworks.celery.task import CeleryTask

__all__ = [
    "App",
    "AsyncResult",
    "CeleryTask",
    "EagerResult",
    "NotCarried",
    "shared_task",
    "states",
]


def __getattr__(name: str) -> NoReturn:
    refuse_name(__name__, name)
