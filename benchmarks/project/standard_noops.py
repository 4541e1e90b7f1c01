"""The no-op as a task of ``django.tasks``."""

from django.tasks import task

from benchmarks.marks import Marker
from benchmarks.place import Place

mark = Marker(Place.here().marks)


@task
def noop(number: int, word: str) -> int:
    mark(number)
    return number
