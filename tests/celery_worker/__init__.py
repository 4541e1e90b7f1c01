"""Runs that are executed by real Celery workers, on the brokers that are there."""
