"""Where projects import Celery's loggers from."""
