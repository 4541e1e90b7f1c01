from datetime import timedelta

from taskworks.options.objectives import objectives
from taskworks.statistics.attainment import attainment
from taskworks.store import store

for (backend, queue_name), objective in objectives().items():
    for period in (timedelta(hours=1), timedelta(days=1), timedelta(days=30)):
        attained = attainment(store(), objective, period, backend=backend, queue_name=queue_name)
        print(queue_name, period, attained.share, attained.burn_rate)
