"""Has instruments surround attempts, and describes attempts to them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import MappingProxyType

from taskworks import instruments
from taskworks import real_time as time
from taskworks.execution.attempt import Attempt
from taskworks.execution.outcome import Failed, Outcome, Retried
from taskworks.instruments import ExecutedAttempt, unix_time
from taskworks.logs import steady_logger
from taskworks.models import RunState

logger = steady_logger(__name__)

See = Callable[[Outcome], Outcome]  # notes the outcome, and returns it


@contextmanager
def seen(attempt: Attempt) -> Iterator[See]:
    """Surround an attempt whose task is about to be called, until the block ends."""
    try:
        described = _described(attempt)
    except Exception:  # of what somebody has written into its row
        logger.exception("Run %s cannot be described to instruments.", attempt.run.id)
        yield _unseen
        return

    def see(outcome: Outcome) -> Outcome:
        _add_outcome(described, attempt, outcome)
        return outcome

    with instruments.executing(described) as names:
        yield see
    attempt.seen_by = names


def _unseen(outcome: Outcome) -> Outcome:
    return outcome


def tell_recorded(attempts: Sequence[Attempt]) -> None:
    """Tell instruments of outcomes that are written."""
    instruments.recording([*_recorded_among(attempts)])


def _recorded_among(attempts: Sequence[Attempt]) -> Iterator[ExecutedAttempt]:
    for attempt in attempts:
        try:
            yield _recorded(attempt)
        except Exception:  # as above
            logger.exception("Run %s cannot be described to instruments.", attempt.run.id)


def _recorded(attempt: Attempt) -> ExecutedAttempt:
    described, outcome = _described(attempt), attempt.outcome
    if outcome is not None:
        _add_outcome(described, attempt, outcome)
    if described.error:  # which its run has by now
        described.errors = described.errors[:-1]
        described.failures -= isinstance(outcome, Failed | Retried)
    return described


def _described(attempt: Attempt) -> ExecutedAttempt:
    run = attempt.run
    return ExecutedAttempt(
        run_id=str(run.id),
        task=run.called_path,
        queue_name=run.queue_name,
        backend=run.backend,
        number=_number(attempt),
        failures=run.failures,
        executor=attempt.policy.executor,
        worker=attempt.worker_id,
        waited=_waited(attempt),
        metadata=MappingProxyType(run.metadata),
        arguments=(run.args, run.kwargs),
        errors=run.errors,
        seen_by=attempt.seen_by,
    )


def _number(attempt: Attempt) -> int:
    """Return the number of the attempt, which may not be counted yet, or not any more."""
    if attempt.outcome is None and attempt.run.state != RunState.RUNNING:
        return attempt.run.attempts + 1
    return attempt.run.attempts


def _waited(attempt: Attempt) -> float:
    claimed_at = attempt.run.claimed_at
    if claimed_at is None:
        return 0.0
    began = time.monotonic() if attempt.began is None else attempt.began
    waited = claimed_at - attempt.due_at + timedelta(seconds=began - attempt.claimed)
    return max(0.0, waited.total_seconds())  # somebody may have set the clock back


def _add_outcome(described: ExecutedAttempt, attempt: Attempt, outcome: Outcome) -> None:
    now = time.monotonic()
    described.began_at = unix_time(attempt.began, now)
    described.ended_at = unix_time(attempt.ended or now, now)
    described.outcome = outcome.word
    # Not every outcome has these.
    described.exception = getattr(outcome, "exception", getattr(outcome, "reason", None))
    described.error = getattr(outcome, "entry", None)
    delay: timedelta | None = getattr(outcome, "delay", None)
    described.delay = None if delay is None else delay.total_seconds()
