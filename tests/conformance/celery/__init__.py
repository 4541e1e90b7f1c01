"""
Celery's own unit tests of tasks, retries, results and ``shared_task``, from its source
distribution, on ``taskworks.celery``.

``python -m tests.conformance.celery.suite`` runs them, and prints what became of each.
"""
