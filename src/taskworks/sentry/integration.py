"""``TaskworksIntegration``, which is used as the integrations of Sentry's own SDK are."""

from collections.abc import Iterable, Mapping
from typing import Any

import sentry_sdk
from sentry_sdk.integrations import Integration
from sentry_sdk.scope import add_global_event_processor

from taskworks import instruments
from taskworks.sentry.instrument import SentryInstrument
from taskworks.sentry.monitors import Monitors


class TaskworksIntegration(Integration):
    """
    Reports runs that have failed for good, traces enqueues and attempts, and monitors schedules.

    With ``report_retries``, an attempt that failed and is followed by another one is reported, too,
    as a warning. ``monitors`` are the labels of the schedules that Sentry is to monitor; or a dict
    of them with options of Sentry's: ``{"nightly": {"checkin_margin": 5, "max_runtime": 30}}``.
    """

    identifier = "taskworks"

    def __init__(
        self,
        *,
        report_retries: bool = False,
        monitors: Mapping[str, Mapping[str, Any]] | Iterable[str] = (),
    ) -> None:
        """Raise ValueError for an option of a monitor that Sentry does not have."""
        self.report_retries = report_retries
        self.monitors = Monitors(monitors)

    @staticmethod
    def setup_once() -> None:
        """Begin; the SDK calls this once in a process."""
        instrument = SentryInstrument(_in_force)
        instruments.add(instrument)
        add_global_event_processor(instrument.without_lines_about_reported)


def _in_force() -> TaskworksIntegration | None:
    """Return the integration of the current client; None if it has none."""
    found: TaskworksIntegration | None = sentry_sdk.get_client().get_integration(
        TaskworksIntegration
    )
    return found
