"""The no-op as a task of django-vtasks."""

from django_vtasks import task

from benchmarks.marks import Marker
from benchmarks.place import Place

mark = Marker(Place.here().marks)


@task
async def noop(number: int, word: str) -> int:
    mark(number)
    return number
