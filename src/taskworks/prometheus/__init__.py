"""Metrics for Prometheus: a view for the project's URLs, and a collector for other registries."""

from typing import TYPE_CHECKING, Any

try:
    import prometheus_client  # noqa: F401 - only this package needs it
except ImportError as error:
    raise ImportError(
        "taskworks.prometheus needs prometheus_client: pip install 'django-taskworks[prometheus]'."
    ) from error

if TYPE_CHECKING:
    from taskworks.prometheus.collector import TaskworksCollector
    from taskworks.prometheus.views import metrics, open_metrics

__all__ = ["TaskworksCollector", "metrics", "open_metrics"]


def __getattr__(name: str) -> Any:
    # When they are asked for: ``python -m taskworks.prometheus`` has no settings.
    if name == "TaskworksCollector":
        from taskworks.prometheus import collector

        return collector.TaskworksCollector
    if name in __all__:
        from taskworks.prometheus import views

        return getattr(views, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
