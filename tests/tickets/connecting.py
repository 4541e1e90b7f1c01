"""
Prints what is imported while a ticket is sent, after all that was to be imported has been: in a
process that is forked meanwhile, that would stay half imported.
"""

import sys

from taskworks.backends.celery.broker import Broker
from taskworks.backends.celery.ticket import Ticket
from tests.tickets import celery_project
from tests.tickets.scripts import set_up

set_up()
broker = Broker()
broker.prepare(celery_project.app)
before = {*sys.modules}
broker.send(sys.argv[2], Ticket("default", "of no run"))
print(*({*sys.modules} - before))
broker.close()
