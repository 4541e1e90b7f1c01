"""The cost of the next claim does not depend on how much is ready, scheduled or finished."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import Model, QuerySet
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from taskworks.actions.waiting import why_waiting
from taskworks.dashboard.runs import relations
from taskworks.dashboard.runs.relations import relatives_of, strip_of
from taskworks.dashboard.runs.rows import COLUMNS
from taskworks.filtering import RunFilter, sources
from taskworks.filtering.arguments import Argument
from taskworks.filtering.matching_runs import page_of
from taskworks.models import Edge, Limit, Pause, RunState, TaskRun, Worker
from taskworks.models.pause import Scope, scopes_of
from taskworks.options.retention import Rule
from taskworks.store import Store
from taskworks.store import store as store_of
from taskworks.store.census import tallies
from taskworks.store.limiting import Line
from tests.new_runs import new_runs
from tests.plans import ROWS, assert_no_scan, no_scan_of_most_rows, plans
from tests.store.tidying import tidy

# With TASKWORKS_TEST_ROWS there are more of them.
LANES = min(ROWS // 10, 10_000)


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """
    Instead of pytest-django's, without a transaction for each test. It has to have this name: only
    for tests that ask for it by this name is a database made.
    """
    with django_db_blocker.unblock():
        yield


@pytest.fixture(autouse=True, scope="module")
def _database(db: None) -> Iterator[None]:
    """One large table for all of them: each changes a few of its rows at most."""
    _fill()
    yield
    for model in (Edge, TaskRun, Worker, Limit):
        _empty(model)
        tidy(model)


def _empty(model: type[Model]) -> None:
    """A million rows are deleted in minutes, but truncated at once."""
    if connection.vendor == "sqlite" or ROWS < 100_000:
        model._default_manager.all().delete()
    else:
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE TABLE {model._meta.db_table}")


def _multiply(some: QuerySet[TaskRun], made: int) -> None:
    """Copy these runs until the ``made`` ones have become ROWS."""
    copies = [f"SELECT {number} AS number" for number in range(ROWS // made - 1)]
    if not copies:
        return
    new_id = {
        "postgresql": "GEN_RANDOM_UUID()",
        "sqlite": "LOWER(HEX(RANDOMBLOB(16)))",
        "mysql": "REPLACE(UUID(), '-', '')",
    }[connection.vendor]
    others = ", ".join(
        connection.ops.quote_name(field.column)
        for field in TaskRun._meta.concrete_fields
        if not field.primary_key
    )
    sql, parameters = some.order_by().query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO taskworks_taskrun (id, {others}) SELECT {new_id}, {others}
            FROM ({sql}) AS made CROSS JOIN ({" UNION ALL ".join(copies)}) AS copies""",
            parameters,
        )


def _fill() -> None:
    now = store_of().read_clock()
    states = ["ready", "ready", "scheduled", "successful", "failed"]
    TaskRun.objects.bulk_create(
        (
            TaskRun(
                backend="default",
                queue_name=f"queue {number % 3}",
                task_path="tests.tasks.noop",
                rank=number % 5,
                state=states[number % 5],
                enqueued_at=now,
                available_at=now + timedelta(days=states[number % 5] == "scheduled"),
                finished_at=now if number % 5 > 2 else None,
            )
            for number in range(5_000)
        ),
        batch_size=2000,
    )
    _multiply(TaskRun.objects.all(), 5_000)
    tidy(TaskRun)


@pytest.fixture(scope="module")
def blocked(_database: None) -> list[TaskRun]:
    """Thousands of runs, of which each waits for two others."""
    moment = store_of().read_clock()
    others = TaskRun.objects.ready().values_list("id", flat=True)[:1000]
    runs = [
        TaskRun(
            backend="default",
            queue_name="queue 0",
            task_path="tests.tasks.noop",
            state="blocked",
            enqueued_at=moment,
            available_at=moment + timedelta(seconds=number // 10),
        )
        for number in range(2000)
    ]
    TaskRun.objects.bulk_create(runs, batch_size=2000)
    Edge.objects.bulk_create(
        Edge(run=run.id, after=others[(number + turn) % 1000])
        for number, run in enumerate(runs)
        for turn in (0, 1)
    )
    tidy(TaskRun)
    tidy(Edge)
    return runs


@pytest.fixture(scope="module")
def limited(_database: None) -> None:
    """Thousands of runs in hundreds of lanes; in some of them one is in hand."""
    made = max(5_000, 2 * LANES)
    moment = store_of().read_clock()
    TaskRun.objects.bulk_create(
        (
            TaskRun(
                backend="default",
                queue_name="queue 0",
                task_path="tests.tasks.noop",
                limit_name=f"limit {number % 2}",
                lane=f"lane {number % LANES:05}",
                state="ready" if number >= 40 else "claimed",
                enqueued_at=moment,
                available_at=moment,
            )
            for number in range(made)
        ),
        batch_size=2000,
    )
    _multiply(TaskRun.objects.ready().limited(), made)
    numbers = {"at_once": 1, "total": 1000}
    Limit.objects.create(name="limit 0", declared=numbers, **numbers)
    tidy(TaskRun)


def test_a_claim_of_limited_runs_reads_their_indexes(
    store: Store, limited: None, worker: UUID
) -> None:
    for most, ahead, *queues in [
        (10, 0, "queue 0"),
        (10, 0, "queue 0", "queue 1"),
        (4, 100, "queue 0"),
    ]:
        line = Line("limit 0", "default", tuple(queues), "thread")

        def claim(line: Line = line, most: int = most, ahead: int = ahead) -> object:
            return store.claim_limited(worker, line, most, ahead)

        for plan in plans(claim, "lane"):
            assert_no_scan(plan)
            if connection.vendor != "mysql":
                assert "taskworks_run_in_hand" not in plan
    claimed = TaskRun.objects.filter(claimed_by=worker)
    assert claimed.update(state="ready", claimed_by=None, claim_token=None) == 20 + 54


def test_a_claim_of_limited_runs_looks_at_no_more_lanes_than_it_needs(
    store: Store, limited: None
) -> None:
    """Of hundreds, the first 20 are full."""
    line, last = Line("limit 0", "default", ("queue 0",), "thread"), f"lane {LANES - 4:05}"
    assert lanes_looked_at(lambda: store._open_lanes(line, "", 1, 5)) <= 20 + 5 + 1
    assert lanes_looked_at(lambda: store._open_lanes(line, "lane 00100", 1, 5)) <= 5 + 1
    assert lanes_looked_at(lambda: store._open_lanes(line, last, 1, 5)) <= 1 + 20 + 4 + 2


def lanes_looked_at(do: Callable[[], object]) -> int:
    """How many lanes the statements look at; on SQLite by the work that one takes."""
    with CaptureQueriesContext(connection) as captured:
        do()
    if connection.vendor == "mysql":
        return sum("lane >" in query["sql"] for query in captured)
    statement = captured[0]["sql"]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        scans = re.findall(r"CTE Scan on (?:later|sooner) .*rows=(\d+) loops", plan)
        assert scans
        return sum(map(int, scans))
    return steps_of(statement) // STEPS_PER_LANE


STEPS_PER_LANE = 100  # of SQLite's virtual machine


def steps_of(statement: str) -> int:
    steps: list[int] = []
    raw = connection.connection
    raw.set_progress_handler(lambda: steps.append(1), 1)
    try:
        raw.execute(statement).fetchall()
    finally:
        raw.set_progress_handler(None, 0)
    return len(steps)


def test_which_limits_have_ready_runs_is_found_by_probes(store: Store, limited: None) -> None:
    known = store.limited_names()
    [plan] = plans(lambda: store.limited_names(known=known), "limit_name")
    if connection.vendor == "mysql":
        probes = [line for line in plan.splitlines() if "UNION RESULT" not in line]
        assert all("optimized away" in one or "No matching" in one for one in probes)
        assert len(probes) <= 7 * len(known) + 1
    else:
        assert "taskworks_run_limited" in plan
        assert_no_scan(plan)


def test_a_look_for_limits_does_not_read_their_runs(store: Store, limited: None) -> None:
    """SQLite says of its plan only by which columns it begins."""
    if connection.vendor != "sqlite":
        pytest.skip("Others say what they read.")
    with CaptureQueriesContext(connection) as captured:
        names = store.limited_names()
    assert steps_of(captured[0]["sql"]) < 200 * (len(names) + 1)


def test_slots_are_counted_in_their_index(store: Store, limited: None) -> None:
    uses = [
        lambda: store.slots_in_use("limit 0"),
        lambda: store.slots_in_use("limit 0", "lane 00000"),
        lambda: store.limits_in_use(["limit 0", "limit 1"], 100),
    ]
    for use in uses:
        for plan in plans(use, "COUNT"):
            index = "taskworks_run_" + ("ready" if connection.vendor == "mysql" else "slots")
            assert index in plan
            assert_no_scan(plan)


def test_the_edges_to_a_run_are_found_by_their_index(store: Store, blocked: list[TaskRun]) -> None:
    after = Edge.objects.filter(run=blocked[7].id).values_list("after", flat=True)
    for plan in plans(lambda: store.followers([*after]), "any_end"):
        assert_no_scan(plan.replace("filesort", ""), "edge")  # of what was found
        assert "taskworks_edge_after" in plan


def test_a_sweep_of_edges_goes_on_by_their_keys(store: Store, blocked: list[TaskRun]) -> None:
    last = Edge.objects.order_by("id")[3000].id
    for plan in plans(lambda: store.edges_since(last, 100), "any_end"):
        assert_no_scan(plan, "edge")


def test_a_sweep_of_blocked_runs_goes_on_in_their_index(
    store: Store, blocked: list[TaskRun]
) -> None:
    last = store.blocked_since(None, 1500)[-1]
    for start in (None, last):
        for plan in plans(lambda start=start: store.blocked_since(start, 100), "LIMIT"):
            assert index_of_blocked() in plan
            assert reads_edges_of_a_run(plan)
            assert_no_scan(plan, "edge")


def test_edges_are_deleted_by_their_keys(store: Store, blocked: list[TaskRun]) -> None:
    edges = store.edges_since(0, 5)
    for plan in plans(lambda: store.delete_edges(edges), "edge"):
        assert_no_scan(plan, "edge")
        assert "PRIMARY" in plan or "taskworks_edge_pkey" in plan or "INTEGER PRIMARY KEY" in plan


@pytest.mark.parametrize("number", [3, 100])
def test_a_few_runs_are_unblocked_by_their_keys(
    store: Store, blocked: list[TaskRun], number: int
) -> None:
    ids = [run.id for run in blocked[:number]]
    for plan in plans(lambda: store.unblock(ids), "taskrun", "edge"):
        assert reads_edges_of_a_run(plan)
        assert "taskworks_run_blocked" not in plan  # all that is blocked
        assert_no_scan(plan, "edge")


def test_what_a_new_run_waits_for_is_found_by_its_key(store: Store, blocked: list[TaskRun]) -> None:
    new = new_runs(queue_name="queue 0")
    edges = [Edge(run=new.uuids[0], after=other.id) for other in blocked[:3]]
    for plan in plans(lambda: store.block(new, edges), "SELECT", "state", "taskrun"):
        assert_no_scan(plan)


def reads_edges_of_a_run(plan: str) -> bool:
    """Return whether it is by their index, to which SQLite gives a name of its own."""
    return "taskworks_edge_once" in plan or "sqlite_autoindex_taskworks_edge_1 (run=?)" in plan


def index_of_blocked() -> str:
    """Where indexes are over all rows, that of another state has its columns."""
    is_partial = connection.features.supports_partial_indexes
    return "taskworks_run_blocked" if is_partial else "taskworks_run_scheduled"


@pytest.mark.parametrize("queues", [1, 3])
def test_a_claim_reads_the_index_of_what_is_ready(store: Store, worker: UUID, queues: int) -> None:
    names = [f"queue {number}" for number in range(queues)]
    for plan in plans(
        lambda: store.claim(worker, "default", names, {"thread": 10}), "rank", "LIMIT"
    ):
        assert "taskworks_run_ready" in plan
        assert_no_scan(plan)


@pytest.mark.parametrize("part", [(), ("queue 0", 1000)])
def test_finding_the_queues_probes_the_index_of_what_is_ready(
    store: Store, part: tuple[object, ...]
) -> None:
    for plan in plans(lambda: store.ready_queues("default", *part), "queue_name"):
        if connection.vendor == "mysql":
            assert "optimized away" in plan or "No matching" in plan
        else:
            assert "taskworks_run_ready" in plan
            assert_no_scan(plan)


def test_a_look_at_what_is_paused_reads_indexes(store: Store) -> None:
    """With many pauses, so that a planner has a choice."""
    queues = [f"queue {number}" for number in range(2000)]
    Pause.objects.bulk_create(
        Pause(backend=f"backend {number % 100}", name=name, at=store.read_clock())
        for number, name in enumerate(queues)
    )
    Pause.objects.create(backend="default", name="queue 0", at=store.read_clock())
    tidy(Pause)
    try:
        for part in ((), (None, 1000), ("queue 0", 1000)):
            for plan in plans(lambda part=part: store.outlook("default", *part), "pause"):
                assert_no_scan(plan, "pause")
        run = TaskRun(queue_name="queue 0", backend="default", task_path="a.b", callable_path="a.c")
        run.limit_name, run.lane = "of lanes", "a"
        for scopes in ([Scope("queue", "queue 0", "default")], scopes_of(run)):
            of = store.pauses.of(*scopes)
            for plan in plans(lambda of=of: [*of.in_force()], "pause"):
                assert_no_scan(plan, "pause")
    finally:
        Pause.objects.all().delete()
        tidy(Pause)


def test_whether_a_queue_is_in_use_is_read_from_indexes(store: Store) -> None:
    for plan in plans(lambda: store.use_of_queue("default", "queue 0"), "EXISTS"):
        assert_no_scan(plan)


@pytest.mark.skipif(connection.vendor != "mysql", reason="Others have an index of limited runs.")
@pytest.mark.parametrize("queue", ["queue 0", "queue 1"])
def test_whether_a_queue_is_in_use_is_told_without_reading_what_is_ready(
    store: Store, limited: None, queue: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("FLUSH STATUS")
        assert store.use_of_queue("default", queue).ready
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read_next'")
        [(_, read)] = cursor.fetchall()
    assert int(read) < 10 + TaskRun.objects.in_hand().count()


def test_what_is_in_front_of_a_run_is_counted_in_its_index(store: Store, worker: UUID) -> None:
    # One in the middle: of the first, a planner may count by the primary key.
    run = TaskRun.objects.ready().filter(queue_name="queue 0", rank=1).order_by("id")[150]
    for plan in plans(lambda: why_waiting(run), "COUNT"):
        assert "taskworks_run_ready" in plan
        assert_no_scan(plan)


@pytest.mark.parametrize("state", [RunState.READY, RunState.SCHEDULED])
def test_what_is_cleared_is_found_by_the_index_of_its_state(store: Store, state: RunState) -> None:
    before = store.read_clock()

    def read() -> None:
        scope = Scope("queue", "queue 0", "default")
        store.waiting(scope, state, before=before, except_for=[], limit=10)

    for plan in plans(read, "LIMIT"):
        assert f"taskworks_run_{state}" in plan
        assert_no_scan(plan)


@pytest.mark.parametrize("name", ["queue 0", "nothing"])
def test_whether_a_queue_has_unfinished_runs_is_read_from_indexes(
    store: Store, limited: None, name: str
) -> None:
    with no_scan_of_most_rows():
        found = plans(lambda: store.has_unfinished(Scope("queue", name, "default")), "LIMIT 1")
    for plan in found:
        assert "taskworks_run_" in plan or "Impossible" in plan
        assert_no_scan(plan.replace("filesort", ""))  # of the limited ones of a queue


def test_ready_runs_are_counted_in_both_their_indexes(store: Store, limited: None) -> None:
    with no_scan_of_most_rows():
        [plan] = plans(store.survey, "COUNT(*)")
    assert "taskworks_run_ready" in plan
    # Where indexes are over all rows, that one has the columns of both.
    assert connection.vendor == "mysql" or "taskworks_run_limited" in plan
    assert_no_scan(plan.replace("filesort", ""))  # of what is counted


def test_more_than_are_counted_is_not_read(store: Store, limited: None) -> None:
    of_probes = "MIN(" if connection.vendor == "mysql" else "line.lowest"
    with no_scan_of_most_rows():
        probes = plans(lambda: store.survey(cap=10), of_probes)
    for plan in probes:
        assert "SCAN run" not in plan
        # Of MySQL and MariaDB: an answer that one look at the index gives, or that there is none.
        if "optimized away" not in plan and "No matching" not in plan:
            assert "taskworks_run_ready" in plan
            assert_no_scan(plan.replace("filesort", ""))  # of what is counted


def test_each_state_is_counted_in_its_index(store: Store) -> None:
    def read() -> None:
        tallies(store, [], timedelta(days=1))

    with no_scan_of_most_rows():
        of_states = plans(read, "COUNT(*)")
    assert len(of_states) == 7
    for plan in of_states:
        assert "taskworks_run_" in plan
        assert_no_scan(plan.replace("filesort", ""))  # of what is counted


def test_all_states_are_counted_in_their_indexes(store: Store, limited: None) -> None:
    with no_scan_of_most_rows():
        [plan] = plans(lambda: store.count_states(1000), "COUNT(*)")
    assert "taskworks_run_finished" in plan
    assert_no_scan(plan)


def test_open_failures_are_counted_by_their_group(store: Store, limited: None) -> None:
    with no_scan_of_most_rows():
        [plan] = plans(lambda: store.count_open(["a", "b"], 100), "COUNT(*)")
    assert "taskworks_failure_group" in plan
    assert_no_scan(plan)


LISTS = (
    RunFilter(),
    RunFilter(tasks=("tests.tasks.other",)),
    RunFilter(queues=("queue 1",), since=timedelta(hours=1)),
    RunFilter(states=(RunState.FAILED,), errors=("x",)),
    RunFilter(states=(RunState.FAILED, RunState.SUCCESSFUL), tasks=("tests.tasks.other",)),
    RunFilter(states=(RunState.RUNNING,)),
    RunFilter(states=(RunState.SUCCESSFUL,), arguments=(Argument("a", "1"),)),
    RunFilter(owner="5", attempts_at_least=2),
)


@pytest.mark.parametrize("meant", LISTS, ids=str)
def test_a_list_of_runs_reads_a_part_of_an_index(
    store: Store, limited: None, meant: RunFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "WINDOW", 500)
    monkeypatch.setattr(sources, "ERRORS_WINDOW", 500)
    fixed = meant.at(store.read_clock())
    for read in plans(lambda: page_of(store, fixed, limit=50, columns=COLUMNS), "taskrun"):
        # Few runs are sorted: those in hand are not in the order of their ids.
        plan = read.replace("filesort", "") if meant.states == ("running",) else read
        assert_no_scan(LIMITED_READ.sub("", plan))


def test_what_belongs_to_a_run_is_looked_for_near_it(
    store: Store, limited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relations, "SEARCHED", 500)
    run = TaskRun.objects.order_by("id")[4_000]
    run.last_attempted_at, run.metadata = run.enqueued_at, {"correlation_id": "x"}

    def read() -> None:
        relatives_of(store, run)
        strip_of(store, run)

    for plan in plans(read, "taskrun"):
        assert_no_scan(LIMITED_READ.sub("", plan))
        assert "taskworks_run_" not in plan  # by the primary key


# MySQL and MariaDB say so of a key that is read in its order, up to a limit.
LIMITED_READ = re.compile(r"\btaskworks_taskrun index \S+ PRIMARY \S+ \S+ \d{1,3} .*")


def test_rescue_reads_the_index_of_what_is_in_hand(store: Store) -> None:
    for plan in plans(lambda: store.rescue(10), "LIMIT"):
        assert "taskworks_run_in_hand" in plan
        assert_no_scan(plan)


def test_a_look_around_reads_indexes(store: Store, worker: UUID) -> None:
    for plan in plans(lambda: store.overview(timedelta(minutes=1), worker), "heartbeat_at"):
        assert "taskworks_run_in_hand" in plan
        assert_no_scan(plan)


@pytest.mark.skipif(connection.vendor != "mysql", reason="Others lock what they find.")
def test_who_locks_a_row_looks_at_no_index_but_its_key(store: Store) -> None:
    entry = {"exception_class_path": "builtins.OSError", "traceback": ""}
    failed, *others = TaskRun.objects.filter(state="failed").values_list("id", flat=True)[:3]
    ready = TaskRun.objects.ready().values_list("id", flat=True)[0]
    locking = [
        *plans(lambda: store.retry(failed), "UPDATE"),
        *plans(lambda: store.cancel(ready, entry), "UPDATE"),
        *plans(lambda: store.prune(Rule("default", "failed", timedelta()), others), "FOR UPDATE"),
    ]
    assert len(locking) == 4
    for plan in locking:
        assert "PRIMARY" in plan or "const tables" in plan  # which are found by their keys
        assert "taskworks_run_" not in plan  # not even as one that is possible


def test_pruning_reads_the_index_of_what_has_finished(store: Store) -> None:
    rule = Rule("default", "failed", timedelta())
    for plan in plans(lambda: store.aged(rule, None, 10), "LIMIT"):
        assert "taskworks_run_finished" in plan
        assert_no_scan(plan)


def test_promotion_reads_the_index_of_what_is_scheduled(store: Store) -> None:
    for plan in plans(lambda: store.promote(10), "available_at", "LIMIT"):
        assert "taskworks_run_scheduled" in plan
        assert_no_scan(plan)
