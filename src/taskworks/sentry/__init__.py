"""
Errors, traces and monitors of schedules for Sentry.

``sentry_sdk.init(..., integrations=[TaskworksIntegration()])`` switches them on.
"""

try:
    import sentry_sdk  # noqa: F401
except ImportError as error:
    raise ImportError(
        "Reporting to Sentry needs the package sentry-sdk: pip install 'django-taskworks[sentry]'.",
        name=error.name,
    ) from error

from taskworks.sentry.integration import TaskworksIntegration

__all__ = ["TaskworksIntegration"]
