"""A process that enqueues and ends, without waiting for a broker that may not answer."""

import sys

from taskworks.backends.celery import broker
from taskworks.backends.celery import messenger as at_exit
from tests.tickets.scripts import enqueue, set_up

FOREVER = 600

trouble = sys.argv.pop()
broker.BOUNDED |= {
    name: FOREVER for name, bound in broker.BOUNDED.items() if bound == broker.TIMEOUT
}
broker.TIMEOUT = FOREVER
if trouble == "open":
    at_exit.TIME_AT_EXIT = 60
set_up()
print(enqueue())
