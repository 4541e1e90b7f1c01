"""Tasks that were written for Celery, without Celery."""
