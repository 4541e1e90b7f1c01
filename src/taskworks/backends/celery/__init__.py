"""
``CeleryBackend``: stores runs in the project's database, for a fleet of Celery workers to execute.

Celery carries no run. A worker claims runs from the database as ours does, and a message only says
that a queue has something: the ticket.
"""

from taskworks.backends.celery.backend import CeleryBackend

__all__ = ["CeleryBackend"]
