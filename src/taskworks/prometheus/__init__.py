"""Metrics for Prometheus: a view for the project's URLs, and a collector for other registries."""

try:
    import prometheus_client  # noqa: F401 - only this package needs it
except ImportError as error:
    raise ImportError(
        "taskworks.prometheus needs prometheus_client: pip install 'django-taskworks[prometheus]'."
    ) from error

from taskworks.prometheus.collector import TaskworksCollector
from taskworks.prometheus.views import metrics, open_metrics

__all__ = ["TaskworksCollector", "metrics", "open_metrics"]
