"""More limits have ready runs than a worker claims from at once."""

from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks.models import Bucket, Limit, TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.store import store
from taskworks.store.limited_names import MAX_NAMES, LimitedName
from taskworks.store.limiting import LimitedClaim
from taskworks.worker import Queues
from taskworks.worker.claiming import NoWakeUps, openings
from taskworks.worker.claiming import limited as module
from taskworks.worker.claiming.intake import Intake
from taskworks.worker.claiming.limit_parts import MAX_LINES, part_of
from tests.clocks import Clock
from tests.connections import held_elsewhere
from tests.new_runs import NOOP
from tests.worker.claiming.idleness import RARELY

pytestmark = pytest.mark.django_db(transaction=True)

SURVEY = {
    "postgresql": "WITH RECURSIVE found",
    "sqlite": "WITH RECURSIVE found",
    "mysql": "MIN(limit_name) FROM `taskworks_taskrun`\n                WHERE",
}
NUMBER = 90
NAMES = [f"limit {number:03}" for number in range(NUMBER)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time stands still, so that nothing is looked at again because it is old."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def worker() -> UUID:
    row = WorkerRow(id=uuid4(), label="of a test", hostname="here", pid=1)
    store().register(row)
    return row.id


@pytest.fixture
def intake(clock: Clock) -> Intake:
    return Intake(store(), "default", Queues(), RARELY, NoWakeUps())


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The limits from which the worker claims."""
    names: list[str] = []
    claim_limited = type(store()).claim_limited

    def claim(store: Any, worker: UUID, line: Any, *numbers: int) -> LimitedClaim:
        names.append(line.limit)
        return claim_limited(store, worker, line, *numbers)

    monkeypatch.setattr(type(store()), "claim_limited", claim)
    return names


def fill(names: list[str], state: str = "ready", **columns: Any) -> None:
    now = store().read_clock()
    times = {"enqueued_at": now, "available_at": now}
    TaskRun.objects.bulk_create(
        TaskRun(**NOOP, **times, limit_name=name, lane="a", state=state, **columns)
        for name in names
    )


@pytest.fixture
def full() -> None:
    """Each limit has a ready run, and no slot."""
    numbers = {"at_once": 1, "total": None}
    Limit.objects.bulk_create(Limit(name=name, declared=numbers, **numbers) for name in NAMES)
    fill(NAMES, "claimed", claim_token=uuid4())
    fill(NAMES)


def looks(intake: Intake, worker: UUID, claims: list[str]) -> list[int]:
    """How many claims each look takes, until one may rest."""
    numbers = []
    while not numbers or intake.may_have_missed_some:
        claims.clear()
        intake.claim(worker, {"thread": 9}, None)
        numbers.append(len(claims))
    return numbers


def test_a_look_claims_from_a_few_and_all_have_their_turn_before_it_rests(
    intake: Intake, worker: UUID, claims: list[str], full: None
) -> None:
    numbers = looks(intake, worker, claims)
    assert max(numbers) <= MAX_LINES
    assert sum(numbers) == NUMBER
    assert "thread" not in intake.not_ahead


def test_a_batch_looks_once_at_each_before_it_ends(
    intake: Intake, worker: UUID, claims: list[str], full: None
) -> None:
    assert intake.claim_the_last(worker, {"thread": 9}, None, {"thread": 9}) == []
    assert sorted(claims) == NAMES
    assert not intake.may_have_missed_some


def test_a_batch_begins_anew_after_each_run(
    intake: Intake, worker: UUID, claims: list[str], full: None
) -> None:
    """A run may have enqueued others, of a limit whose turn has been."""
    TaskRun.objects.filter(state="claimed", limit_name__in=[NAMES[5], NAMES[50]]).delete()
    found = []
    while runs := intake.claim_the_last(worker, {"thread": 9}, None, {"thread": 9}):
        found += runs
        TaskRun.objects.filter(limit_name=NAMES[1], state="claimed", claimed_by=None).delete()
    assert {run.limit_name for run in found} == {NAMES[number] for number in (1, 5, 50)}


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")
def test_a_limit_from_which_another_session_claims_holds_up_no_other(
    intake: Intake, worker: UUID, claims: list[str], full: None
) -> None:
    """It is frozen there. The others are looked at once, then the worker asks for that one only."""
    TaskRun.objects.filter(state="claimed", limit_name=NAMES[77]).delete()
    rows = Limit.objects.filter(name=NAMES[3]).select_for_update()
    with held_elsewhere(lambda: [*rows]):
        found = intake.claim_the_last(worker, {"thread": 9}, None, {"thread": 9})
        assert [run.limit_name for run in found] == [NAMES[77]]
        claims.clear()
        pauses = []
        for _ in range(15):
            assert intake.claim(worker, {"thread": 9}, None) == []
            assert intake.may_have_missed_some
            pauses.append(intake._limited.seconds)
    assert len(claims) < NUMBER + 15 * (MAX_LINES + 1)
    assert pauses[-1] == module.LONGEST_PAUSE
    TaskRun.objects.filter(state="claimed", limit_name=NAMES[3]).delete()
    found = intake.claim(worker, {"thread": 9}, None)
    assert [run.limit_name for run in found] == [NAMES[3]]


def test_when_a_rate_opens_the_worker_asks_for_that_limit_only(
    intake: Intake, worker: UUID, claims: list[str], full: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(openings, "time", clock)
    TaskRun.objects.filter(state="claimed", limit_name=NAMES[3]).delete()
    numbers = {"at_once": None, "total": None, "rate": "1/h", "burst": 1}
    Limit.objects.filter(name=NAMES[3]).update(declared=numbers, **numbers)
    fill(NAMES[3:4])
    looks(intake, worker, claims)
    claims.clear()
    Bucket.objects.update(full_at=store().read_clock())
    clock.now += 3601
    assert intake.take_openings()
    assert [run.limit_name for run in intake.claim(worker, {"thread": 9}, None)] == [NAMES[3]]
    assert claims == [NAMES[3]]


def test_after_none_was_left_all_are_found_again(
    intake: Intake, worker: UUID, claims: list[str], full: None
) -> None:
    """Nobody says that there are some: the worker only polls."""
    for _ in range(2):
        intake.claim(worker, {"thread": 9}, None)
    intake._next_survey = 0.0
    intake._limited._next_survey = 0.0
    intake.claim(worker, {"thread": 9}, None, {"thread": 0})  # it reads a part, without a slot
    TaskRun.objects.filter(state="ready").delete()
    intake._next_survey = 0.0
    intake.claim(worker, {"thread": 9}, None)
    TaskRun.objects.filter(state="claimed").delete()
    fill(NAMES[:1])
    intake._next_survey = 0.0
    assert len(intake.claim(worker, {"thread": 9}, None)) == 1


def test_a_slot_that_becomes_free_is_found_wherever_it_is(
    intake: Intake, worker: UUID, claims: list[str], full: None
) -> None:
    looks(intake, worker, claims)
    TaskRun.objects.filter(state="claimed", limit_name=NAMES[77]).delete()
    intake.look_for_limited()
    found = []
    while not found:
        found = intake.claim(worker, {"thread": 9}, None)
        assert found or intake.may_have_missed_some
    assert [run.limit_name for run in found] == [NAMES[77]]


def test_a_look_finds_out_by_one_statement_which_limits_have_ready_runs(
    intake: Intake, worker: UUID, claims: list[str], full: None
) -> None:
    """On MySQL and MariaDB, once it knows them."""
    looks(intake, worker, claims)
    intake.wake()
    for _ in range(6):
        with CaptureQueriesContext(connection) as captured:
            intake.claim(worker, {"thread": 9}, None)
        assert sum(SURVEY[connection.vendor] in query["sql"] for query in captured) == 1


def test_all_of_them_are_claimed_from_in_turn(
    intake: Intake, worker: UUID, claims: list[str], clock: Clock
) -> None:
    """Each has more than enough, and there is never room for all."""
    for _ in range(4):
        fill(NAMES)
    counts: Counter[str] = Counter()
    for _ in range(NUMBER):
        counts.update(run.limit_name or "" for run in intake.claim(worker, {"thread": 2}, None))
        clock.now += module.SURVEY_INTERVAL / 20
    assert len(counts) > 2 * MAX_LINES
    assert max(counts.values()) <= 4


def names(number: int, *, of_each: int = 1, executors: int = 1) -> list[LimitedName]:
    return [
        LimitedName(f"{limit:02}", "default", f"{queue:02}", f"{executor}")
        for limit in range(number)
        for queue in range(of_each)
        for executor in range(executors)
    ]


@pytest.mark.parametrize(
    ("found", "part", "ends"),
    [
        (names(0), 0, True),
        (names(MAX_LINES), MAX_LINES, True),
        (names(MAX_LINES + 1), MAX_LINES, False),
        (names(3, of_each=9), 27, True),  # three lines
        (names(12, executors=2), 20, False),  # twenty lines
        (names(10, of_each=9)[:MAX_NAMES], 45, False),  # the last one is not complete
        (names(1, of_each=99)[:MAX_NAMES], MAX_NAMES, False),
    ],
)
def test_a_part_is_of_entire_limits(found: list[LimitedName], part: int, ends: bool) -> None:
    assert part_of(found) == (found[:part], None if ends else found[part - 1])
