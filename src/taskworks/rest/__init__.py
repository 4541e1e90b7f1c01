"""Typed tasks over HTTP: start, watch, cancel and retry them."""

try:
    import rest_framework  # noqa: F401 - only this package and taskworks.endpoints need it
except ImportError as error:
    raise ImportError(
        "taskworks.rest needs Django REST framework: pip install 'django-taskworks[rest]'."
    ) from error
