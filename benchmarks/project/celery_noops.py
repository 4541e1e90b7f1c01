"""The no-op as a Celery task."""

from celery import Celery

from benchmarks import databases
from benchmarks.marks import Marker
from benchmarks.place import Place

place = Place.here()
mark = Marker(place.marks)
queues = f"{databases.REDIS}/{databases.QUEUES}"
app = Celery(
    "bench",
    broker=queues if place.store == "redis" else databases.RABBITMQ,
    backend=f"{databases.REDIS}/{databases.RESULTS}",
)
app.conf.update(
    task_default_queue=place.database,
    worker_prefetch_multiplier=64,  # as its documentation recommends for short tasks
    worker_disable_rate_limits=True,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task
def noop(number: int, word: str) -> int:
    mark(number)
    return number
