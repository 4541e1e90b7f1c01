"""
A process that enqueues before and after it has forked, twice, and its children enqueue, too. It
forks first while the app is being imported, and then when it is connected to the broker. It prints
the ids of the runs, and how often it has connected.
"""

import os
import sys
from typing import Any

from taskworks.backends.celery import messenger as at_exit
from taskworks.backends.celery.broker import Broker
from taskworks.backends.celery.messenger import messenger
from taskworks.database import importing
from tests.tickets.scripts import enqueue, print_at_once, set_up
from tests.waiting import wait_for

at_exit.TIME_AT_EXIT = importing.MAX_WAIT = 60  # however slow the machine is
connected: list[Any] = []
connect = Broker._connect


def connect_and_count(broker: Broker) -> None:
    connect(broker)
    connected.append(broker)


def fork() -> None:
    child = os.fork()
    print_at_once(enqueue())
    if child == 0:
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0


def is_being_imported() -> bool:
    module = sys.modules.get("tests.tickets.slow_project")
    return module is not None and hasattr(module, "is_being_imported")


Broker._connect = connect_and_count  # type: ignore[method-assign]

set_up("tests.tickets.slow_project:app")
print_at_once(enqueue())
wait_for(is_being_imported, "the app is being imported")
fork()
wait_for(lambda: connected, "a connection")
fork()
print_at_once(enqueue())
messenger.end()
print(len(connected))
