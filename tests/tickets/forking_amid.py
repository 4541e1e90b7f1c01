"""
A process that has a child forked, as Celery has, while the thread that sends tickets takes from
Redis's pool of connections, or gives back to it. Both enqueue. It prints the ids of the runs.
"""

import sys
import threading

import billiard

from taskworks.backends.celery import messenger as at_exit
from taskworks.backends.celery.messenger import messenger
from tests.tickets.scripts import enqueue, print_at_once, set_up
from tests.waiting import wait_for

at_exit.TIME_AT_EXIT = 60  # however slow the machine is


def in_child() -> None:
    print_at_once(enqueue())
    messenger.end()


def hold_what_is_taken_amid(is_held: threading.Event, is_over: threading.Event) -> None:
    broker = messenger._of_backends["default"]._broker
    wait_for(lambda: broker._producer, "a connection")
    pool = getattr(broker._producer.channel, "pool", None)  # of Redis alone
    with pool._lock if pool else threading.Lock():
        is_held.set()
        is_over.wait()


set_up()
print_at_once(enqueue())
is_held, is_over = threading.Event(), threading.Event()
holder = threading.Thread(target=hold_what_is_taken_amid, args=[is_held, is_over])
holder.start()
is_held.wait()
child = billiard.get_context("fork").Process(target=in_child)
child.start()
child.join(timeout=30)
is_over.set()
if child.is_alive():
    child.terminate()
    sys.exit("The child hangs.")
print_at_once(enqueue())
messenger.end()
