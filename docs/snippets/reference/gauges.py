from datetime import timedelta

from taskworks.statistics.gauges import gauges
from taskworks.store import store

for point in gauges(store(), timedelta(hours=3), backend="default", queue_name="mail"):
    print(point.at, point.depth, point.oldest_max, point.busy, point.slots)
