"""
Firing: for each planned time that has come, insert a Firing, enqueue a run, and move ``next_run``.

All three are one transaction, in which the schedule's row is locked, and a Firing is unique for its
planned time: the worker that comes first fires and no other does, whatever their clocks say.
"""

import random
from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import InterfaceError, InternalError, OperationalError, transaction

from taskworks.backends.database import DatabaseBackend
from taskworks.backends.unique_tasks import unique_of
from taskworks.correlation import extras_of
from taskworks.database import clock
from taskworks.database.transactions import writing
from taskworks.definition import Task
from taskworks.exceptions import InvalidTask, TaskResultDoesNotExist
from taskworks.framework import ImmediateBackend, InvalidTaskBackend, task_backends
from taskworks.logs import steady_logger
from taskworks.models import Firing, Overlap, Schedule, TaskRun, planning
from taskworks.reserved_metadata import OF_SCHEDULE
from taskworks.result import TaskResult
from taskworks.schedules.due_times import times_to_fire
from taskworks.store import Store, store, store_of
from taskworks.store.base import MAX_LOCK_WAIT
from taskworks.task_copies import unvalidated_copy

SCHEDULES_PER_TRANSACTION = 50
# When a schedule that cannot fire is tried again: its code may be about to be deployed.
RETRY_AFTER = timedelta(minutes=1)
# When one is tried again that another transaction has held up, for as long as a lock is waited for.
TRY_AGAIN_AFTER = timedelta(seconds=1)
MAX_HELD_UP = 5  # schedules at one look
MAX_ERROR_LENGTH = 1000  # characters
# Errors of the database, not of what is fired; the last one if this process was frozen too long.
OUTAGE = (OperationalError, InterfaceError, InternalError)

logger = steady_logger(__name__)


def fire_some(store: Store, due: Sequence[int]) -> list[float]:
    """
    Fire up to SCHEDULES_PER_TRANSACTION of these that are still due. Return, for each that was
    handled, the seconds until it is due again; or until it is tried again, if others' transactions
    have held it up.
    """
    if not due:
        return []
    chosen = _some_of(due)
    fired: Sequence[float]
    alone: Sequence[int]
    try:
        fired, alone = _fire_together(store, chosen)
    except Exception as error:  # of one of them, which must not keep the others from firing
        if _is_outage(store, error):
            raise
        logger.debug("Schedules are fired one by one.", exc_info=True)
        fired, alone = [], chosen
    return [*fired, *_fire_one_by_one(store, alone)]


def fire(schedule_id: int, using: str | None = None) -> bool:
    """
    Fire one schedule of a database here and now if it is due, as a worker would, in the caller's
    transaction if there is one. Return whether it was due. What keeps it from firing is written to
    its ``error``.
    """
    return bool(_fire_alone(store(using), schedule_id, max_wait=None))


def fire_now(schedule: Schedule) -> TaskResult[..., Any]:
    """
    Enqueue a run of the schedule at once, in the caller's transaction if there is one. Neither its
    next run nor what is left of its iterations changes.

    Raise what keeps it from running: TaskNotFound if its code is gone, InvalidTask.
    """
    return _fire_now(store_of(schedule), schedule)


def _fire_now(store: Store, schedule: Schedule) -> TaskResult[..., Any]:
    task, now = _task_of(schedule, store), clock.as_aware(store.read_clock())
    both_or_none = writing(store.alias)
    with nullcontext() if _is_executed_at_once(task) else both_or_none:
        result = _enqueue(task, schedule, now)
        store.add_firings([_firing(schedule, now, now, _run_id(result))])
    return result


def _some_of(due: Sequence[int]) -> Sequence[int]:
    """Return as many as one transaction takes, at random: other workers choose others."""
    few = len(due) <= SCHEDULES_PER_TRANSACTION
    return due if few else random.sample(due, SCHEDULES_PER_TRANSACTION)


def _fire_together(store: Store, ids: Collection[int]) -> tuple[list[float], list[int]]:
    """Fire those that wait for nobody; return when they are due again, and the others."""
    with store.lock_due_schedules(ids, MAX_LOCK_WAIT) as schedules:
        others = [schedule.pk for schedule, _ in schedules if _may_wait(schedule)]
        fired = [
            _fire_or_mark(store, schedule, now, checks_firings=False)
            for schedule, now in schedules
            if schedule.pk not in others
        ]
    return fired, others


def _may_wait(schedule: Schedule) -> bool:
    """Return whether its task is unique, and may wait for a transaction with the same key."""
    try:
        return unique_of(schedule.task) is not None
    except Exception:  # noqa: BLE001 - why it cannot fire is found when it is fired
        return False


def _fire_one_by_one(store: Store, ids: Sequence[int]) -> Iterator[float]:
    """
    Fire these in any order. One that is held up stays due; with many of them, the rest is left for
    the next look, so that those fired together do not wait for it.
    """
    held_up = 0
    for schedule_id in random.sample(ids, len(ids)):
        if held_up == MAX_HELD_UP:
            yield TRY_AGAIN_AFTER.total_seconds()
            continue
        try:
            yield from _fire_alone(store, schedule_id, MAX_LOCK_WAIT)
        except OUTAGE as error:
            if not store.is_lock_timeout(error):
                raise
            logger.debug("The schedule %s is held up by another transaction.", schedule_id)
            held_up += 1
            yield TRY_AGAIN_AFTER.total_seconds()


def _is_outage(store: Store, error: Exception) -> bool:
    return isinstance(error, OUTAGE) and not store.is_lock_timeout(error)


def _fire_alone(store: Store, schedule_id: int, max_wait: timedelta | None) -> list[float]:
    try:
        with store.lock_due_schedules([schedule_id], max_wait) as schedules:
            return [
                _fire_or_mark(store, schedule, now, checks_firings=True)
                for schedule, now in schedules
            ]
    except OUTAGE:
        raise
    except Exception as error:  # noqa: BLE001 - any error is shown with its schedule
        store.mark_schedule_error(schedule_id, _reason(error), RETRY_AFTER)
        logger.warning("Schedule %s cannot fire: %s", schedule_id, _reason(error))
        return [RETRY_AFTER.total_seconds()]


def _fire_or_mark(
    store: Store, schedule: Schedule, now: datetime, *, checks_firings: bool
) -> float:
    """
    Fire a schedule, or write why it cannot fire. Without ``checks_firings``, a planned time that
    was fired before raises IntegrityError, which is rare.
    """
    try:
        if schedule.next_run is None:
            planning.plan(schedule, clock.as_stored(now))
        times, following = times_to_fire(schedule, now)
        task = _task_of(schedule, store) if times else None
    except Exception as error:  # noqa: BLE001 - importing a module may raise anything
        store.mark_schedule_error(schedule.pk, _reason(error), RETRY_AFTER)
        if schedule.error != _reason(error):
            logger.warning("The schedule %r cannot fire: %s", schedule.label, _reason(error))
        return RETRY_AFTER.total_seconds()
    if checks_firings and times:
        fired_before = store.fired_before(schedule, times)
        times = [planned for planned in times if planned not in fired_before]
    count = _fire(store, schedule, task, times, now) if task else 0
    _move_on(store, schedule, following, count, now)
    return (clock.as_aware(schedule.due_at) - now).total_seconds()


def _task_of(schedule: Schedule, store: Store) -> Task:
    """Return its task; raise InvalidTask if the runs would be in another database."""
    task = schedule.task
    backend = task.get_backend()
    if isinstance(backend, DatabaseBackend) and backend.database != store.alias:
        raise InvalidTask(
            f"Its runs would be in the database {backend.database!r}, and it is in "
            f"{store.alias!r}. Delete it here, and save it there."
        )
    return task


def _move_on(
    store: Store, schedule: Schedule, following: datetime | None, count: int, now: datetime
) -> None:
    """Write that it has fired ``count`` times, and when it will fire next."""
    stored = clock.as_stored(now)
    schedule.error = ""
    if count:
        schedule.last_run = stored
    if following is None or 0 < schedule.iterations <= schedule.fired + count:
        planning.finish(schedule, stored)
    else:
        schedule.next_run = schedule.due_at = clock.as_stored(following)
        if schedule.behind_until and schedule.next_run >= schedule.behind_until:
            schedule.behind_until = None
    store.write_schedule(schedule, count)


# Its runs.


def _fire(
    store: Store, schedule: Schedule, task: Task, times: list[datetime], now: datetime
) -> int:
    """Enqueue the runs of these planned times, and return how many."""
    if schedule.iterations:
        times = times[: max(0, schedule.iterations - schedule.fired)]
    firings: list[Firing] = []
    for planned in _not_overlapping(schedule, times):
        run = _run(task, schedule, planned, after=_to_follow(schedule, firings))
        firings.append(_firing(schedule, planned, now, run))
    if firings:
        store.add_firings(firings)
    return len(firings)


def _not_overlapping(schedule: Schedule, times: list[datetime]) -> list[datetime]:
    """Return the planned times to run for, although earlier runs may not be finished."""
    match schedule.overlap:
        case Overlap.SKIP:
            return [] if not times or schedule.running else times[:1]
        case Overlap.CANCEL_PREVIOUS:
            for run in schedule.living_runs() if times else ():
                _cancel(run)
            return times[-1:]
        case _:
            return times


def _to_follow(schedule: Schedule, firings: list[Firing]) -> UUID | None:
    """Return the run that the next one is to wait for."""
    if schedule.overlap != Overlap.QUEUE:
        return None
    if firings:
        return firings[-1].run
    living = {*schedule.living_runs().values_list("id", flat=True)}
    return next((run for run in schedule.latest_runs() if run in living), None)


def _run(task: Task, schedule: Schedule, planned: datetime, after: UUID | None) -> UUID | None:
    """Enqueue the run of this planned time; return its id, None if it is not a row."""
    if _is_executed_at_once(task):  # outside of this transaction, whose locks it would hold
        at_once = partial(_enqueue, task, schedule, planned)
        transaction.on_commit(at_once, using=schedule._state.db, robust=True)
        return None
    return _run_id(_enqueue(task, schedule, planned, after))


def _is_executed_at_once(task: Task) -> bool:
    """Return whether its backend executes it when it is enqueued."""
    return isinstance(task.get_backend(), ImmediateBackend)


def _enqueue(
    task: Task, schedule: Schedule, planned: datetime, after: UUID | None = None
) -> TaskResult[..., Any]:
    of_schedule: dict[str, Any] = {
        "id": schedule.pk,
        "label": schedule.label,
        "scheduled_for": planned.isoformat(),
    }
    if schedule.overlap == Overlap.QUEUE:
        of_schedule["is_followed"] = True
    changes: dict[str, Any] = {"metadata": {**(task.metadata or {}), OF_SCHEDULE: of_schedule}}
    if schedule.jitter:
        changes["run_after"] = schedule.jitter * random.random()  # noqa: S311 - not a secret
    task = unvalidated_copy(task, **changes)
    args, kwargs = (schedule.args, schedule.kwargs) if schedule.is_task else ([], {})
    backend: Any = task.get_backend()
    if after is None or not hasattr(backend, "enqueue_after"):
        return task.enqueue(*args, **kwargs)
    run = TaskRun.objects.using(schedule._state.db).get(id=after)
    result: TaskResult[..., Any] = backend.enqueue_after(
        task, args, kwargs, run.to_result(), any_end=True
    )
    return result


def _firing(schedule: Schedule, planned: datetime, now: datetime, run: UUID | None) -> Firing:
    return Firing(
        schedule_id=schedule.pk,  # which a replica may have shown
        planned_at=clock.as_stored(planned),
        fired_at=clock.as_stored(now),
        run=run,
    )


def _run_id(result: TaskResult[..., Any]) -> UUID | None:
    try:
        return UUID(result.id)
    except ValueError:  # of another backend, whose runs are not rows
        return None


def _cancel(run: TaskRun) -> None:
    try:
        backend: Any = task_backends[run.backend]
        backend.cancel(str(run.id))
    except (InvalidTaskBackend, TaskResultDoesNotExist):
        what = "Run %s of a schedule cannot be cancelled from here."
        logger.warning(what, run.id, extra=extras_of(run))


def _reason(error: BaseException) -> str:
    try:
        words = str(error)
    except Exception:  # noqa: BLE001 - a task's exception may do anything
        words = "it cannot be printed"
    return f"{type(error).__name__}: {words}"[:MAX_ERROR_LENGTH].replace("\0", "")
