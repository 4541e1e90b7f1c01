"""The no-op as a Celery task."""

from benchmarks import databases
from benchmarks.marks import Marker
from benchmarks.project.calm_celery import new_app, place

mark = Marker(place.marks)
has_results = place.system == "celery"
app = new_app(backend=f"{databases.REDIS}/{databases.RESULTS}" if has_results else None)


@app.task
def noop(number: int, word: str) -> int:
    mark(number)
    return number
