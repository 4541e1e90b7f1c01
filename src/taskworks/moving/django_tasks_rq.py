"""
Jobs that django-tasks-rq has put into Redis.

Redis and the database have no transaction in common. A job is first put aside: in one step it
leaves RQ's queue and enters a hash of ours, so that no worker of RQ gets it. Then its run is
stored, under an id that follows from the job's, and then the job is deleted. Whoever finds a job
that was put aside goes on with it: wherever this ends, the job is in Redis, or the run is here,
and storing the run a second time changes nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from taskworks.conf import nearest
from taskworks.moving.ids import run_id_of_job
from taskworks.moving.waiting import CannotMove, Left, Waiting

PUT_ASIDE = "taskworks:moving:"  # a hash per queue: its jobs, and when they are due if that is set
HOLD = """
local queue, scheduled, aside = KEYS[1], KEYS[2], KEYS[3]
local held = {}
for _, id in ipairs(ARGV) do
    local due = redis.call('ZSCORE', scheduled, id)
    if redis.call('HEXISTS', aside, id) == 1 then
        held[#held + 1] = id
    elseif redis.call('LREM', queue, 1, id) == 1 then
        redis.call('HSET', aside, id, '')
        held[#held + 1] = id
    elseif due then
        redis.call('ZREM', scheduled, id)
        redis.call('HSET', aside, id, due)
        held[#held + 1] = id
    end
end
return held
"""


class _Place(NamedTuple):
    """Where a job waits."""

    queue: Any
    due: str  # a timestamp, or nothing


class DjangoTasksRQ:
    """The jobs of a backend of django-tasks-rq, in the queues of RQ_QUEUES."""

    def __init__(self, backend: str, queues: Sequence[str] | None) -> None:
        self._backend = backend
        self._queues = _queues(queues)
        self._places: dict[str, _Place] = {}
        self._jobs: dict[str, Any] = {}
        self._others: Counter[str | None] = Counter()

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        from redis.exceptions import RedisError

        return (RedisError,)

    def keys(self) -> list[str]:
        for queue in self._queues:
            for key, due in _waiting_in(queue):
                self._places.setdefault(key, _Place(queue, due))
        return [*self._places]

    def read(self, keys: Sequence[str]) -> Iterator[Waiting | Left]:
        self._jobs.clear()
        for key in keys:
            try:
                found = self._found(key)
            except self.errors:
                raise
            except Exception as error:  # noqa: BLE001 - anything may be in it
                reason = error.__cause__ or error
                found = Left(
                    key, None, f"The job cannot be read: {type(reason).__name__}: {reason}"
                )
            if found:
                yield found

    def _found(self, key: str) -> Waiting | Left | None:
        job = self._job(key)
        if job is None:
            return None
        alias = job.meta.get("backend_name")
        if alias != self._backend:
            self._others[alias] += 1
            return None
        self._jobs[key] = job
        match (job.func_name, job.args, job.kwargs):
            case (str(path), list() | tuple() as args, dict(kwargs)):
                queue, due = self._places[key]
                return Waiting(
                    key=key,
                    run_id=run_id_of_job(key),
                    task_path=path,
                    args=[*args],
                    kwargs=kwargs,
                    queue_name=queue.name,
                    priority=None,  # RQ does not store it
                    run_after=_moment(datetime.fromtimestamp(float(due), UTC)) if due else None,
                    enqueued_at=_moment(job.enqueued_at or job.created_at),
                )
        return Left(key, None, f"The job is not one of django-tasks-rq: {job.func_name!r:.80}.")

    def _job(self, key: str) -> Any:
        """Return the job; None if it is gone, which RQ's workers pass over as well."""
        from rq.exceptions import NoSuchJobError
        from rq.job import Job

        queue = self._places[key].queue
        try:
            return Job.fetch(key, connection=queue.connection, serializer=queue.serializer)
        except NoSuchJobError:
            return None

    @contextmanager
    def holding(self, found: Sequence[Waiting]) -> Iterator[set[str]]:
        yield {key for queue, keys in self._by_queue(found) for key in _hold(queue, keys)}

    def remove(self, found: Sequence[Waiting]) -> None:
        from rq.results import Result

        for queue, keys in self._by_queue(found):
            with queue.connection.pipeline() as together:
                for job in map(self._jobs.__getitem__, keys):
                    # Not job.delete(), which fails if the job is gone: another move was faster.
                    together.delete(job.key, job.dependents_key, job.dependencies_key)
                    together.delete(Result.get_key(job.id))  # of earlier executions
                together.hdel(_aside(queue), *keys)
                together.execute()

    def _by_queue(self, found: Sequence[Waiting]) -> Iterator[tuple[Any, list[str]]]:
        for queue in self._queues:
            keys = [one.key for one in found if one.queue_name == queue.name]
            if keys:
                yield queue, keys

    def remarks(self) -> list[str]:
        return [*self._about_started(), *self._about_others()]

    def _about_started(self) -> Iterator[str]:
        number = sum(map(_in_hand, self._queues))
        if number:
            are, were = ("is", "was") if number == 1 else ("are", "were")
            yield f"{number} more {are} being executed by workers of RQ, or {were} when these died."

    def _about_others(self) -> Iterator[str]:
        for alias, number in sorted(self._others.items(), key=str):
            if alias is None:
                yield f"{number} more: not enqueued by django-tasks-rq."
            else:
                yield f"{number} more of the backend {alias!r}: use --from-backend {alias}."


def _queues(names: Sequence[str] | None) -> list[Any]:
    try:
        import django_rq
        from django_rq.settings import QUEUES
    except ImportError as error:
        raise CannotMove(
            f"The jobs of django-tasks-rq can only be read while django-rq is installed. ({error})"
        ) from error
    except ImproperlyConfigured as error:
        raise CannotMove(
            "The queues of django-tasks-rq are read from RQ_QUEUES. Keep this setting until "
            f"everything is moved. ({error})"
        ) from error
    for name in names or ():
        if name not in QUEUES:
            raise CannotMove(f"RQ_QUEUES has no queue {name!r}.{nearest(name, [*QUEUES])}")
    return [django_rq.get_queue(name) for name in names or QUEUES]


def _aside(queue: Any) -> str:
    return f"{PUT_ASIDE}{queue.name}"


def _waiting_in(queue: Any) -> Iterator[tuple[str, str]]:
    """Yield the ids of jobs, each with the timestamp at which it is due, or nothing."""
    redis = queue.connection
    for key, due in redis.hgetall(_aside(queue)).items():
        yield _text(key), _text(due)
    for key in queue.get_job_ids():
        yield key, ""
    for key, due in redis.zrange(queue.scheduled_job_registry.key, 0, -1, withscores=True):
        yield _text(key), str(due)


def _in_hand(queue: Any) -> int:
    """Return how many jobs workers execute, or have taken and not begun."""
    redis = queue.connection
    number: int = redis.zcard(queue.started_job_registry.key)
    number += redis.llen(queue.intermediate_queue_key)
    return number


def _hold(queue: Any, keys: Sequence[str]) -> list[str]:
    """Put those aside that still wait in the queue; return all that are."""
    names = (queue.key, queue.scheduled_job_registry.key, _aside(queue))
    return [_text(key) for key in queue.connection.eval(HOLD, len(names), *names, *keys)]


def _text(given: bytes | str) -> str:
    return given.decode() if isinstance(given, bytes) else given


def _moment(moment: datetime) -> datetime:
    """Return a time of RQ, which is in UTC, as Django stores it."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware if settings.USE_TZ else timezone.make_naive(aware)
