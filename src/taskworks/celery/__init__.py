"""
Tasks that were written for Celery: its decorator, its methods and its results, executed by
Taskworks. Celery and a broker are not needed.
"""

from typing import Any

from taskworks.celery import states
from taskworks.celery.canvas import Signature, chain, chord, group, signature
from taskworks.celery.decorators import App, shared_task
from taskworks.celery.group_result import GroupResult
from taskworks.celery.not_carried import NotCarried, refuse_name
from taskworks.celery.result import AsyncResult, EagerResult
from taskworks.celery.task import CeleryTask

Task = CeleryTask  # for the annotation of ``self``

__all__ = [
    "App",
    "AsyncResult",
    "CeleryTask",
    "EagerResult",
    "GroupResult",
    "NotCarried",
    "Signature",
    "Task",
    "chain",
    "chord",
    "group",
    "shared_task",
    "signature",
    "states",
]


def __getattr__(name: str) -> Any:
    if name != "Celery":
        refuse_name(__name__, name)
    from taskworks.celery.app import Celery  # which needs the real one

    return Celery
