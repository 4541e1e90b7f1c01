"""Execute one attempt of a run, and say what became of it."""

from taskworks.execution.attempt import Attempt
from taskworks.execution.crash import crash
from taskworks.execution.executor import aexecute, execute, prepare
from taskworks.execution.interrupt import CoroutineGuard, Guard, Reason, ThreadGuard
from taskworks.execution.judgement import judge, judge_unasked
from taskworks.execution.outcome import (
    Cancelled,
    Committed,
    Crashed,
    Failed,
    Fenced,
    InDoubt,
    Lost,
    Outcome,
    Poisoned,
    Postponed,
    Released,
    Retried,
    Snoozed,
    Succeeded,
    cancellation,
    failure,
    loss,
)

__all__ = [
    "Attempt",
    "Cancelled",
    "Committed",
    "CoroutineGuard",
    "Crashed",
    "Failed",
    "Fenced",
    "Guard",
    "InDoubt",
    "Lost",
    "Outcome",
    "Poisoned",
    "Postponed",
    "Reason",
    "Released",
    "Retried",
    "Snoozed",
    "Succeeded",
    "ThreadGuard",
    "aexecute",
    "cancellation",
    "crash",
    "execute",
    "failure",
    "judge",
    "judge_unasked",
    "loss",
    "prepare",
]
