"""How patient workers are: in a hurry, or as projects have them by default."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Times in seconds; the first three are keys of TASKWORKS."""

    heartbeat_interval: float
    worker_timeout: float
    shutdown_timeout: float
    outage: float  # how long a database is away when it is away for long
    storm: float  # how long something goes wrong again and again
    points: float  # how long processes are struck at one point after another

    @property
    def rescue(self) -> float:
        """By when the runs of a dead worker are claimable: its silence, and a sweep (I3)."""
        return self.worker_timeout + 2 * self.heartbeat_interval

    @property
    def settings(self) -> dict[str, float]:
        return {
            "HEARTBEAT_INTERVAL": self.heartbeat_interval,
            "WORKER_TIMEOUT": self.worker_timeout,
            "SHUTDOWN_TIMEOUT": self.shutdown_timeout,
        }


PACES = {
    "brisk": Pace(
        heartbeat_interval=0.5,
        worker_timeout=3.0,
        shutdown_timeout=3.0,
        outage=6,
        storm=5,
        points=20,
    ),
    # What a project has that sets nothing.
    "default": Pace(
        heartbeat_interval=5.0,
        worker_timeout=30.0,
        shutdown_timeout=25.0,
        outage=120,
        storm=20,
        points=600,
    ),
}
PACE_NAME = os.environ.get("TASKWORKS_FAULTS_PACE", "brisk")
PACE = PACES[PACE_NAME]
# Seconds that a busy machine gets on top: little where promises are measured, for the table.
SLACK = 10.0 if PACE_NAME == "default" else 30.0
