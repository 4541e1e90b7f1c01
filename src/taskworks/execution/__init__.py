"""Execute one attempt of a run, and say what became of it."""

from taskworks.execution.attempt import Attempt
from taskworks.execution.executor import aexecute, execute, prepare
from taskworks.execution.interrupt import CoroutineGuard, Guard, Reason, ThreadGuard
from taskworks.execution.judgement import judge, judge_unasked
from taskworks.execution.outcome import (
    Cancelled,
    Failed,
    Outcome,
    Postponed,
    Released,
    Retried,
    Snoozed,
    Succeeded,
    cancellation,
    failure,
)

__all__ = [
    "Attempt",
    "Cancelled",
    "CoroutineGuard",
    "Failed",
    "Guard",
    "Outcome",
    "Postponed",
    "Reason",
    "Released",
    "Retried",
    "Snoozed",
    "Succeeded",
    "ThreadGuard",
    "aexecute",
    "cancellation",
    "execute",
    "failure",
    "judge",
    "judge_unasked",
    "prepare",
]
