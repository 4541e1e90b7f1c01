"""Typed tasks over HTTP: start, watch, cancel and retry; ``include("taskworks.rest.urls")``."""

try:
    import rest_framework  # noqa: F401 - this package's own door to it
except ImportError as error:
    raise ImportError(
        "taskworks.rest needs Django REST framework: pip install django-taskworks[rest]."
    ) from error
