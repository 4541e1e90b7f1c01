"""Django's DummyBackend, for tasks that have our options."""

from taskworks import framework
from taskworks.task import Task


class DummyBackend(framework.DummyBackend):
    """Keep the results of what was enqueued in a list, and execute nothing; for tests."""

    task_class = Task
