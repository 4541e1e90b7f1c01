"""
The tables as they may be after a busy week, for ``benchmarks.reads``. The database itself
inserts the rows, as copies of a few that Django has written.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import Model

from taskworks.models import (
    Failure,
    FailureGroup,
    Gauge,
    Limit,
    Mark,
    Pause,
    RunState,
    Schedule,
    Statistic,
    TaskRun,
    Worker,
    Workflow,
)
from taskworks.models.statistic import EVER, HOUR, MINUTE, TEN_MINUTES, TEN_SECONDS
from taskworks.statistics.compaction import merge
from taskworks.statistics.places import Place, with_wider
from taskworks.statistics.tally import Tally
from taskworks.store import store
from tests.store.tidying import tidy

WEEK = timedelta(days=7)
QUEUES, TASKS = 6, 60
WORKERS = 20
GROUPS = 120  # of failures, of which the first few have runs
KINDS_OF_ERROR = 5
ROWS_PER_STATEMENT = 500_000
TRACEBACK = "".join(
    f'  File "/srv/shop/part{depth}.py", line {depth}, in step\n    return next_step(order)\n'
    for depth in range(20)
)
# As wide as that of a task whose attempts take between 20 ms and 4 s.
HISTOGRAM = ",".join(f"{bucket}:{2 + bucket % 2}" for bucket in range(-12, 9))
PERIODS = {TEN_SECONDS: 12, MINUTE: 2880, TEN_MINUTES: 2160, HOUR: 168}  # how many are kept


class Dialect(NamedTuple):
    """How a kind of database writes what differs."""

    series: str  # a table of the numbers {begin} to {end} - 1, as the column n
    text: str  # several expressions as one text
    separator: str
    divided: str  # {number} by {divisor}, as an integer
    hexadecimal: str  # {number} in twelve digits
    moment: str  # {ms} since 1970, as a time
    identifier: str  # the hexadecimal text of an id, as one
    random_id: str


DIALECTS = {
    "postgresql": Dialect(
        series="generate_series({begin}::bigint, {end} - 1) AS series (n)",
        text="({parts})",
        separator=" || ",
        divided="({number} / {divisor})",
        hexadecimal="lpad(to_hex({number}), 12, '0')",
        moment="to_timestamp(({ms}) / 1000.0)",
        identifier="({text})::uuid",
        random_id="gen_random_uuid()",
    ),
    "mysql": Dialect(
        series="(SELECT seq AS n FROM seq_{begin}_to_{last}) AS series",
        text="CONCAT({parts})",
        separator=", ",
        divided="({number} DIV {divisor})",
        hexadecimal="LPAD(LOWER(HEX({number})), 12, '0')",
        moment="TIMESTAMP('1970-01-01') + INTERVAL ({ms}) * 1000 MICROSECOND",
        identifier="{text}",
        random_id="UUID()",
    ),
    "sqlite": Dialect(
        series=(
            "(WITH RECURSIVE numbers (n) AS (SELECT {begin} UNION ALL "
            "SELECT n + 1 FROM numbers WHERE n < {last}) SELECT n FROM numbers) AS series"
        ),
        text="({parts})",
        separator=" || ",
        divided="({number} / {divisor})",
        hexadecimal="printf('%012x', {number})",
        moment="strftime('%Y-%m-%d %H:%M:%f', ({ms}) / 1000.0, 'unixepoch')",
        identifier="{text}",
        random_id="lower(hex(randomblob(16)))",
    ),
}


class Some(NamedTuple):
    """Runs that are inserted together, evenly over a time, queues and tasks."""

    state: RunState
    count: int
    begin: datetime
    end: datetime
    queues: int = QUEUES
    tasks: int = TASKS


def fill(runs: int) -> None:
    """Insert so many runs of a week, and whatever else there is after one."""
    now = store().read_clock()
    failed = runs // 100
    insert(Some(RunState.SUCCESSFUL, runs - failed - 15_000, now - WEEK, now))
    insert(Some(RunState.FAILED, failed, now - WEEK, now))
    insert(Some(RunState.READY, 10_000, now - timedelta(minutes=20), now))
    insert(Some(RunState.SCHEDULED, 5_000, now + timedelta(minutes=1), now + WEEK))
    _count(now)
    _surround(now)
    note_failures()
    tidy_all()


def renew(runs: int) -> None:
    """Have a week of so many runs that was kept end now: pages look at the last hours of it."""
    now = store().read_clock()
    for model in (Statistic, Gauge):
        _empty(model)
    _count(now)
    ended = TaskRun.objects.filter(finished_at__isnull=False, finished_at__lte=now)
    latest = ended.filter(state=RunState.SUCCESSFUL).latest("finished_at").finished_at
    missing = int(runs * (now - latest) / WEEK)
    if missing > 100:
        insert(Some(RunState.SUCCESSFUL, missing - missing // 100, latest, now))
        insert(Some(RunState.FAILED, missing // 100, latest, now))
        note_failures()
    tidy_all()


def _empty(model: type[Model]) -> None:
    verb = "DELETE FROM" if connection.vendor == "sqlite" else "TRUNCATE TABLE"
    _execute(f"{verb} {model._meta.db_table}")


def crowd(runs: int) -> None:
    """Insert so many ready runs, of 2,000 tasks in 200 queues."""
    now = store().read_clock()
    insert(Some(RunState.READY, runs, now - timedelta(hours=2), now, queues=200, tasks=2000))
    tidy_all()


def fail(runs: int) -> None:
    """Insert so many failed runs of the last day."""
    now = store().read_clock()
    insert(Some(RunState.FAILED, runs, now - timedelta(days=1), now))
    note_failures()
    tidy_all()


def tidy_all() -> None:
    for model in (TaskRun, Failure, FailureGroup, Statistic, Gauge):
        if connection.vendor != "sqlite":  # of which nobody analyzes the tables
            tidy(model)


# Runs.


def insert(some: Some) -> None:
    """Insert these runs: of failed ones, each kind of error has as many."""
    templates = [_template(some, kind) for kind in range(_kinds(some))]
    first = _next_number()
    for place, template in enumerate(templates):
        share = some.count // len(templates)
        for begin in range(0, share, ROWS_PER_STATEMENT):
            number = first + place * share + begin
            end = number + min(ROWS_PER_STATEMENT, share - begin)
            _copy(TaskRun, template.pk, _columns(some, first), number, end)
    TaskRun.objects.filter(pk__in=[template.pk for template in templates])._raw_delete("default")


def _kinds(some: Some) -> int:
    return KINDS_OF_ERROR if some.state == RunState.FAILED else 1


_numbers = iter(range(0, 2**40, 2**32))  # each insertion has numbers of its own


def _next_number() -> int:
    return next(_numbers)


def _template(some: Some, kind: int) -> TaskRun:
    """Write a run with what all these have in common."""
    is_over = some.state in (RunState.SUCCESSFUL, RunState.FAILED)
    return TaskRun.objects.create(
        id=uuid4(),
        backend="default",
        queue_name="template",
        task_path="template",
        state=some.state,
        enqueued_at=some.begin,
        available_at=some.begin,
        attempts=kind + 1 if is_over else 0,
        worker_ids=[f"w{kind}"] if is_over else [],
        errors=[_error(some, kind)] if some.state == RunState.FAILED else [],
        return_value={"total": 17} if some.state == RunState.SUCCESSFUL else None,
    )


def _error(some: Some, kind: int) -> dict[str, Any]:
    return {
        "attempt": 1,
        "began": some.begin.isoformat(),
        "at": some.begin.isoformat(),
        "worker_id": f"w{kind}",
        "exception_class_path": f"shop.errors.Error{kind}",
        "traceback": f"Traceback:\n{TRACEBACK}shop.errors.Error{kind}: no answer",
    }


def _columns(some: Some, first: int) -> dict[str, str]:
    """Return SQL for what differs from run to run, whose number is n."""
    dialect = DIALECTS[connection.vendor]
    step = max(1, int((some.end - some.begin).total_seconds() * 1e6 / some.count))
    n = f"(n - {first})"
    passed = dialect.divided.format(number=f"({n} * {step})", divisor=1000)
    ms = f"({int(some.begin.timestamp() * 1000)} + {passed})"
    columns = {
        "id": _id(dialect, ms),
        "queue_name": _text(dialect, "'queue '", f"({n} % {some.queues})"),
        "task_path": _text(dialect, "'shop.tasks.task_'", f"({n} % {some.tasks})"),
        "args": _text(dialect, "'['", n, "']'"),
        "kwargs": _text(dialect, "'{\"customer\": '", f"({n} % 5000)", '\', "country": "CH"}\''),
        "enqueued_at": dialect.moment.format(ms=ms),
        "available_at": dialect.moment.format(ms=ms),
    }
    if some.state in (RunState.SUCCESSFUL, RunState.FAILED):
        began = dialect.moment.format(ms=f"{ms} + 200")
        ended = dialect.moment.format(ms=f"{ms} + 300 + {n} % 2000")
        columns |= {"started_at": began, "last_attempted_at": began, "finished_at": ended}
    return columns


def _id(dialect: Dialect, ms: str) -> str:
    """Return an id of version 7, which begins with its time."""
    parts = dialect.hexadecimal.format(number=ms), dialect.hexadecimal.format(number="n")
    return dialect.identifier.format(text=_text(dialect, parts[0], "'70008000'", parts[1]))


def _text(dialect: Dialect, *parts: str) -> str:
    return dialect.text.format(parts=dialect.separator.join(parts))


def note_failures() -> None:
    """Have each failed run be of the group of its error."""
    dialect = DIALECTS[connection.vendor]
    fingerprint = _text(dialect, "'000000000000000'", "attempts")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM taskworks_failure")
        cursor.execute(
            f"INSERT INTO taskworks_failure (run, fingerprint, at) "
            f"SELECT id, {fingerprint}, finished_at FROM taskworks_taskrun WHERE state = 'failed'"
        )


# Everything else.


def _count(now: datetime) -> None:
    """Insert the counts of a week: of each period, as many as are kept, for each task."""
    for seconds, periods in PERIODS.items():
        since = int(now.timestamp()) // seconds * seconds
        _insert_counts(seconds, since)
        for row in Statistic.objects.filter(seconds=seconds):
            _repeat(row, seconds, periods)
        for name in ["", *(f"queue {number}" for number in range(QUEUES))]:
            gauge = Gauge.objects.create(
                id=uuid4(), seconds=seconds, since=since, backend="default" if name else "",
                queue_name=name, samples=2, depth_sum=900, depth_max=600, busy_sum=50, slots_sum=90,
            )  # fmt: skip
            _repeat(gauge, seconds, periods)


def _insert_counts(seconds: int, since: int) -> None:
    """Insert those of a period as workers do, and once those of all time."""
    tallies = {place: _counted() for place in _places(seconds, since)}
    tallies = with_wider(tallies)
    if seconds == TEN_SECONDS:
        rows = [tally.row(uuid4(), **place._asdict()) for place, tally in tallies.items()]
        Statistic.objects.bulk_create(rows)
        merge(store(), {place: _counted() for place in _places(EVER, 0)})
    else:
        merge(store(), tallies)


def _places(seconds: int, since: int) -> list[Place]:
    return [
        Place(seconds, since, "default", f"queue {task % QUEUES}", f"shop.tasks.task_{task}")
        for task in range(TASKS)
    ]


def _counted() -> Tally:
    counts = {"attempts": 52, "successful": 50, "failed": 2}
    seconds = {"wait_sum": 30.0, "run_sum": 60.0, "run_max": 4.0}
    return Tally.of(Statistic(waits=HISTOGRAM, runs=HISTOGRAM, **counts, **seconds))


def _repeat(row: Any, seconds: int, periods: int) -> None:
    columns = {"id": DIALECTS[connection.vendor].random_id, "since": f"since - n * {seconds}"}
    _copy(type(row), row.pk, columns, 1, periods)


def _surround(now: datetime) -> None:
    """Insert workers, with what they have in hand, groups of failures, schedules and so on."""
    workers = Worker.objects.bulk_create(
        Worker(
            label=f"w{number}", hostname=f"host{number}", pid=number + 1, version="0.1.0",
            slots={"thread": 8, "async": 10}, busy=5, started_at=now, heartbeat_at=now,
            release="v12", memory=90_000_000,
        )
        for number in range(WORKERS)
    )  # fmt: skip
    TaskRun.objects.bulk_create(
        TaskRun(
            backend="default", queue_name=f"queue {number % QUEUES}", state=RunState.RUNNING,
            task_path=f"shop.tasks.task_{number % TASKS}", enqueued_at=now, available_at=now,
            claimed_at=now, started_at=now, last_attempted_at=now, attempts=1, progress=number,
            target=200, claimed_by=workers[number % WORKERS].id, claim_token=uuid4(),
        )
        for number in range(99)
    )  # fmt: skip
    FailureGroup.objects.bulk_create(
        FailureGroup(
            fingerprint=f"{number + 1:016d}", task_path=f"shop.tasks.task_{number % TASKS}",
            exception=f"shop.errors.Error{number}", place="shop/bank.py:charge", count=1000,
            message="no answer", sample=uuid4(), first_at=now - WEEK, last_at=now,
            first_release="v11", last_release="v12",
        )
        for number in range(GROUPS)
    )  # fmt: skip
    for number in range(30):
        Schedule(label=f"schedule {number}", path="tests.tasks.noop", cron="@daily").save()
    Schedule.objects.update(due_at=now + timedelta(days=1), next_run=now + timedelta(days=1))
    Workflow.objects.bulk_create(
        Workflow(name=f"workflow {number}", backend="default", created_at=now, closed_at=now)
        for number in range(2000)
    )
    Limit.objects.bulk_create(
        Limit(name=f"limit {number}", declared={"at_once": 5}) for number in range(5)
    )
    Pause.objects.create(backend="default", name="queue 5", at=now, by="anna", reason="a release")
    Mark.objects.bulk_create(
        Mark(at=now - timedelta(days=day, minutes=20), label=f"v{12 - day}") for day in range(7)
    )


def _copy(model: type[Model], key: UUID, changed: dict[str, str], begin: int, end: int) -> None:
    """Insert a copy of a row for each number, with these columns changed."""
    quote, dialect = connection.ops.quote_name, DIALECTS[connection.vendor]
    fields = [field.column for field in model._meta.concrete_fields]
    values = [changed.get(name, quote(name)) for name in fields]
    series = dialect.series.format(begin=begin, end=end, last=end - 1)
    original = key.hex if not connection.features.has_native_uuid_field else str(key)
    _execute(
        f"INSERT INTO {quote(model._meta.db_table)} ({_listed(map(quote, fields))}) "
        f"SELECT {_listed(values)} FROM {quote(model._meta.db_table)} CROSS JOIN {series} "
        f"WHERE id = '{original}'"
    )


def _listed(names: Iterable[str] | Sequence[str]) -> str:
    return ", ".join(names)


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
