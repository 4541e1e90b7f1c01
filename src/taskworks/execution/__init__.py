"""Execute one attempt of a run, and say what became of it."""

from taskworks.execution.attempt import Attempt
from taskworks.execution.executor import aexecute, execute, prepare
from taskworks.execution.outcome import Failed, Outcome, Postponed, Succeeded, failure

__all__ = [
    "Attempt",
    "Failed",
    "Outcome",
    "Postponed",
    "Succeeded",
    "aexecute",
    "execute",
    "failure",
    "prepare",
]
