"""A process that fires schedules and does nothing else: a worker's scheduler, without the rest."""

import signal
import sys
import threading

import django


def main() -> None:
    """Until it is told to stop."""
    django.setup()
    from taskworks.duties.scheduler import Scheduler
    from taskworks.store import store

    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    scheduler = Scheduler(store(), is_notified=lambda: False)
    scheduler.start()
    print("up", flush=True)
    while not told.wait(0.2):
        scheduler.begin()
    scheduler.stop()


if __name__ == "__main__":
    sys.exit(main())
