"""Execute one attempt of a run, and determine its outcome."""

from taskworks.execution.attempt import Attempt, Phase
from taskworks.execution.executor import aexecute, execute, prepare
from taskworks.execution.interrupt import CoroutineGuard, Guard, Reason, ThreadGuard
from taskworks.execution.judgement import judge, judge_crash, judge_stuck
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
    Settled,
    Snoozed,
    Succeeded,
    Verb,
    cancellation,
    failure,
    loss,
)
from taskworks.execution.settlement import settle, settled_copy

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
    "Phase",
    "Poisoned",
    "Postponed",
    "Reason",
    "Released",
    "Retried",
    "Settled",
    "Snoozed",
    "Succeeded",
    "ThreadGuard",
    "Verb",
    "aexecute",
    "cancellation",
    "execute",
    "failure",
    "judge",
    "judge_crash",
    "judge_stuck",
    "loss",
    "prepare",
    "settle",
    "settled_copy",
]
