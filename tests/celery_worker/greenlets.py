"""In the place of a pool of greenlets, which are not installed."""

from celery.concurrency.solo import TaskPool as Solo


class TaskPool(Solo):
    """Another pool than those that can execute runs."""
