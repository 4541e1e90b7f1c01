"""
Wake-ups through Redis, for workers that the database cannot notify: ``TASKWORKS["WAKEUP"]``.

A wake-up carries no work. Who enqueues never waits for Redis, and what is lost is found by a look.
"""
