"""The systems that are measured, in the order of the tables."""

from benchmarks.place import Place
from benchmarks.systems.bare import Bare, BareToday
from benchmarks.systems.celery import Celery, CeleryDjangoResults, CeleryWithoutResults
from benchmarks.systems.dj_queue import DjQueue
from benchmarks.systems.django_ox import DjangoOx
from benchmarks.systems.django_tasks_db import DjangoTasksDB
from benchmarks.systems.django_tasks_redis import DjangoTasksRedis
from benchmarks.systems.django_vtasks import DjangoVTasks
from benchmarks.systems.dramatiq import Dramatiq
from benchmarks.systems.huey import Huey
from benchmarks.systems.pgqueuer import PgQueuer
from benchmarks.systems.procrastinate import Procrastinate
from benchmarks.systems.system import System
from benchmarks.systems.taskworks import (
    Taskworks,
    TaskworksAsync,
    TaskworksCelery,
    TaskworksShards,
    TaskworksWithoutStatistics,
    TaskworksWoken,
)

ALL: tuple[type[System], ...] = (
    Taskworks,
    TaskworksAsync,
    TaskworksWithoutStatistics,
    TaskworksWoken,
    TaskworksCelery,
    TaskworksShards,
    Bare,
    BareToday,
    DjangoTasksDB,
    DjangoOx,
    DjQueue,
    DjangoVTasks,
    DjangoTasksRedis,
    Procrastinate,
    PgQueuer,
    Celery,
    CeleryWithoutResults,
    CeleryDjangoResults,
    Dramatiq,
    Huey,
)
BY_NAME = {system.name: system for system in ALL}


def system_at(place: Place) -> System:
    """Return the system of a place."""
    return BY_NAME[place.system](place)
