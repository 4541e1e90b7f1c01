"""Schedules of Celery's beat, read from its tables or from the settings."""
