"""
Fire: for each planned time that has come, a row that is unique for it, a run, and the next time.

These three are one transaction, in which the schedule's row is locked: whoever comes first fires,
and nobody else does, however many workers there are and whatever their clocks say.
"""

import random
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any, cast
from uuid import UUID

from django.db import InterfaceError, InternalError, OperationalError, transaction

from taskworks.database import clock
from taskworks.database.fields import NONE, ONE
from taskworks.definition import Task, copied
from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.framework import ImmediateBackend, InvalidTaskBackend, task_backends
from taskworks.logs import steady_logger
from taskworks.models import Firing, Overlap, Schedule, TaskRun, planning
from taskworks.progress import OF_SCHEDULE
from taskworks.result import TaskResult
from taskworks.store import Store, store
from taskworks.timetables.cron import TICK

CHUNK = 50  # schedules in one transaction
MOST_AT_ONCE = 100  # planned times of a schedule in one transaction
# A planned time that is later than this, because no worker was there, is missed.
MISSED_AFTER = timedelta(seconds=10)
# Until a schedule that cannot fire is tried again; its code may be about to be deployed.
PATIENCE = timedelta(minutes=1)
MOST_OF_ERROR = 1000  # characters
# Of the database, and not of what is fired; the last if this process was frozen for too long.
WEATHER = (OperationalError, InterfaceError, InternalError)

logger = steady_logger(__name__)


def fire_some(store: Store, due: Sequence[int]) -> list[float]:
    """
    Fire those of these that are due, up to a chunk; for each that was seen to, the seconds until it
    is to be looked at again.
    """
    if not due:
        return []
    chosen = random.sample(due, CHUNK) if len(due) > CHUNK else due
    try:
        return _fire_together(store, chosen)
    except WEATHER:
        raise
    except Exception:  # of one of them; the others are not to suffer
        logger.debug("Schedules are fired one by one.", exc_info=True)
        return [seconds for one in chosen for seconds in _fire_alone(store, one)]


def fire(schedule_id: int) -> bool:
    """
    Fire one schedule here and now if it is due, as a worker would, in the caller's transaction if
    there is one; whether it was due. What keeps it from firing is noted with it.
    """
    return bool(_fire_alone(store(), schedule_id))


def fire_now(schedule: Schedule) -> TaskResult[..., Any]:
    """
    A run of the schedule at once, beside its timetable: neither its next run nor what is left of
    its iterations changes. In the caller's transaction if there is one.

    Raise what keeps it from running: TaskNotFound if its code is gone, InvalidTask.
    """
    return _fire_now(store(), schedule)


def _fire_now(store: Store, schedule: Schedule) -> TaskResult[..., Any]:
    task, now = schedule.task, clock.as_aware(store.read_clock())
    both_or_none = transaction.atomic(using=store.alias)
    with nullcontext() if _is_executed_at_once(task) else both_or_none:
        result = _enqueue(task, schedule, now)
        store.add_firings([_firing(schedule, now, now, _run_id(result))])
    return result


def _fire_together(store: Store, ids: Collection[int]) -> list[float]:
    with store.lock_due_schedules(ids) as taken:
        return [_fire_or_mark(store, schedule, now, is_careful=False) for schedule, now in taken]


def _fire_alone(store: Store, schedule_id: int) -> list[float]:
    try:
        with store.lock_due_schedules([schedule_id]) as taken:
            return [_fire_or_mark(store, schedule, now, is_careful=True) for schedule, now in taken]
    except WEATHER:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown with the schedule
        store.mark_schedule_error(schedule_id, _reason(error), PATIENCE)
        logger.warning("Schedule %s cannot fire: %s", schedule_id, _reason(error))
        return [PATIENCE.total_seconds()]


def _fire_or_mark(store: Store, schedule: Schedule, now: datetime, *, is_careful: bool) -> float:
    """
    Fire it; what is wrong with it before anything is written is noted with it. Who is careful asks
    which planned times were fired before; who is not will meet IntegrityError, which is rare.
    """
    try:
        if schedule.next_run is None:
            planning.plan(schedule, clock.as_stored(now))
        times, following = _planned(schedule, now)
        task = schedule.task if times else None
    except Exception as error:  # noqa: BLE001 - importing a module may raise anything
        store.mark_schedule_error(schedule.pk, _reason(error), PATIENCE)
        if schedule.error != _reason(error):
            logger.warning("The schedule %r cannot fire: %s", schedule.label, _reason(error))
        return PATIENCE.total_seconds()
    if is_careful and times:
        fired_before = store.fired_before(schedule, times)
        times = [planned for planned in times if planned not in fired_before]
    count = _fire(store, schedule, task, times, now) if task else 0
    _move_on(store, schedule, following, count, now)
    return (clock.as_aware(schedule.due_at) - now).total_seconds()


# When.


def _planned(schedule: Schedule, now: datetime) -> tuple[list[datetime], datetime | None]:
    """For which planned times to fire now, and the first that is not to be seen to now."""
    if schedule.next_run is None:  # it is used up
        return [], None
    first = _first_wanted(schedule, clock.as_aware(schedule.next_run), now - MISSED_AFTER)
    if first is None:
        return [], None
    times: list[datetime] = []
    for planned in chain([first], planning.times_after(schedule, first)):
        if planned > now or len(times) == MOST_AT_ONCE:
            return times, planned
        times.append(planned)
    return times, None


def _first_wanted(schedule: Schedule, first: datetime, missed: datetime) -> datetime | None:
    """
    Which planned time to go on with, if the next one is this, and all before that moment are
    missed. What is wanted of those is found once, and then remembered until they are made up.
    """
    if first >= missed or (schedule.behind_until and first < clock.as_aware(schedule.behind_until)):
        return first
    if schedule.catch_up == NONE:
        return planning.next_after(schedule, missed - TICK)
    schedule.behind_until = clock.as_stored(missed)
    wanted = 1 if schedule.catch_up == ONE else schedule.catch_up
    return planning.nth_latest(schedule, wanted, first, missed) or first


def _move_on(
    store: Store, schedule: Schedule, following: datetime | None, count: int, now: datetime
) -> None:
    """Write that it has fired so often, and when it will next."""
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


# What.


def _fire(
    store: Store, schedule: Schedule, task: Task, times: list[datetime], now: datetime
) -> int:
    """Make the runs of these planned times; say how many."""
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
    """Those that may run, now that previous runs may be under way."""
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
    """The run that the next one is to wait for."""
    if schedule.overlap != Overlap.QUEUE:
        return None
    if firings:
        return firings[-1].run
    living = {*schedule.living_runs().values_list("id", flat=True)}
    return next((run for run in schedule.latest_runs() if run in living), None)


def _run(task: Task, schedule: Schedule, planned: datetime, after: UUID | None) -> UUID | None:
    """The run of this planned time; None if it is no row."""
    if _is_executed_at_once(task):
        at_once = partial(_enqueue, task, schedule, planned)
        transaction.on_commit(at_once, using=schedule._state.db, robust=True)
        return None
    return _run_id(_enqueue(task, schedule, planned, after))


def _is_executed_at_once(task: Task) -> bool:
    """Then it must not be in our transaction, or it would hold its locks, and might break it."""
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
        changes["run_after"] = schedule.jitter * random.random()  # noqa: S311 - no secret
    task = cast(Task, copied(task, **changes))
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
        schedule=schedule,
        planned_at=clock.as_stored(planned),
        fired_at=clock.as_stored(now),
        run=run,
    )


def _run_id(result: TaskResult[..., Any]) -> UUID | None:
    try:
        return UUID(result.id)
    except ValueError:  # of another backend, whose runs are no rows
        return None


def _cancel(run: TaskRun) -> None:
    try:
        backend: Any = task_backends[run.backend]
        backend.cancel(str(run.id))
    except (InvalidTaskBackend, TaskResultDoesNotExist):
        logger.warning("Run %s of a schedule cannot be cancelled from here.", run.id)


def _reason(error: BaseException) -> str:
    try:
        words = str(error)
    except Exception:  # noqa: BLE001 - what cannot be printed starves nobody
        words = "it cannot be printed"
    return f"{type(error).__name__}: {words}"[:MOST_OF_ERROR].replace("\0", "")
