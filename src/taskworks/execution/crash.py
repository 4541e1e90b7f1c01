"""What follows when the process that executed an attempt has died of it."""

from taskworks.exceptions import TaskCrashed, TaskPoisoned
from taskworks.execution.attempt import Attempt
from taskworks.execution.judgement import judge
from taskworks.execution.outcome import Crashed, InDoubt, Outcome, Poisoned, error_entry, failure
from taskworks.options.policy import ALONE

MOST_CRASHES = 3


def crash(attempt: Attempt, exception: TaskCrashed) -> Outcome:
    """
    A failure like others, but for two: a run that may be executed once only is not tried again,
    and one that was executed alone, for it was suspected of this, is, until that is too often.
    """
    outcome = _crash(attempt, exception)
    return InDoubt(outcome) if attempt.policy.transactional else outcome


def _crash(attempt: Attempt, exception: TaskCrashed) -> Outcome:
    if attempt.run.at_most_once:
        return failure(exception)
    if attempt.run.executor != ALONE:
        return judge(attempt, exception)
    if attempt.run.crashes + 1 < MOST_CRASHES:
        return Crashed(exception, error_entry(exception))
    poisoned = TaskPoisoned(
        f"{exception} It was executed alone, and has crashed {MOST_CRASHES} times: it is not "
        "executed again unless somebody has it retried."
    )
    return Poisoned(poisoned, error_entry(poisoned))
