from datetime import timedelta

from taskworks.statistics import reading
from taskworks.store import store

day = reading.within(store(), timedelta(hours=24), by=reading.by_task)
for key, tally in sorted(day.items()):
    p95 = tally.run_quantile(0.95)
    print(key.task_path, tally["successful"], tally["failed"], p95)

for at, tallies in reading.series(store(), timedelta(hours=3), queue_name="mail"):
    print(at, sum(tally.finished for tally in tallies.values()))
