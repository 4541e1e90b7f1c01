"""The no-op as a procrastinate task."""

from procrastinate.contrib.django import app

from benchmarks.marks import Marker
from benchmarks.place import Place

mark = Marker(Place.here().marks)


@app.task(name="noop")
async def noop(number: int, word: str) -> int:
    mark(number)
    return number
