"""Workers and runs that have a limit: when they look, what they claim, and who wakes them."""

import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks import TaskResult
from taskworks.actions import limits
from taskworks.control import pause, resume
from taskworks.database import notifications
from taskworks.execution import Attempt
from taskworks.models import Limit, TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.options.declared_limits import _in_code as declared_in_code
from taskworks.store import Store, store
from taskworks.store.limiting import Line
from taskworks.store.paused import NOTHING
from taskworks.worker import Queues, Sizes, Worker
from taskworks.worker.claiming import NoWakeUps, alternation
from taskworks.worker.claiming import intake as intake_module
from taskworks.worker.claiming import limited as module
from taskworks.worker.claiming.intake import Intake
from taskworks.worker.claiming.limited import LimitedRuns
from taskworks.worker.claiming.poll_schedule import LOOK_AGAIN_AFTER
from taskworks.worker.claiming.slots import FreedSlots
from taskworks.worker.pools import Pools
from tests import limited, tasks
from tests.behavior import run_worker
from tests.clocks import Clock
from tests.connections import held_elsewhere
from tests.new_runs import new_runs
from tests.waiting import wait_for
from tests.worker.claiming.idleness import RARELY, StartWorker, idle, wait_until_executed

pytestmark = pytest.mark.django_db(transaction=True)

needs_news = pytest.mark.skipif(
    connection.vendor == "mysql", reason="Workers poll: nothing tells them of what others do."
)


@pytest.fixture
def gates() -> Iterator[dict[str, threading.Event]]:
    """Runs of these tenants are held until a test, or its end, opens their gate."""
    yield limited.gates
    for gate in limited.gates.values():
        gate.set()
    limited.gates.clear()


@pytest.fixture
def worker() -> UUID:
    row = WorkerRow(id=uuid4(), label="of a test", hostname="here", pid=1)
    store().register(row)
    return row.id


@pytest.fixture
def intake() -> Intake:
    return Intake(store(), "default", Queues(), RARELY, NoWakeUps())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(alternation, "time", clock)
    return clock


def lanes(runs: list[TaskRun]) -> Counter[str | None]:
    return Counter(run.lane for run in runs)


def claim(intake: Intake, worker: UUID, number: int = 10) -> list[TaskRun]:
    return intake.claim(worker, {"thread": number}, None)


def imports(**numbers: int) -> list[TaskResult]:
    items = [[tenant] for tenant, number in numbers.items() for _ in range(number)]
    return [*limited.import_file.enqueue_many(items)]


def running(tenant: str) -> int:
    return TaskRun.objects.in_hand().filter(lane=tenant).count()


# What a worker claims.


def test_who_has_no_limits_has_as_many_statements_as_without(intake: Intake, worker: UUID) -> None:
    """A look, and a claim."""
    tasks.noop.enqueue_many([[]] * 4)
    with CaptureQueriesContext(connection) as captured:
        assert len(claim(intake, worker, 4)) == 4
    transactions = ("BEGIN", "COMMIT", "SET ", "SELECT SET_CONFIG")
    statements = [q["sql"] for q in captured if not q["sql"].startswith(transactions)]
    if connection.vendor == "mysql":  # it locks, reads the clock, looks at the worker, and writes
        statements = [one for one in statements if "limit_name" in one]
        assert len(statements) <= 3
    else:
        assert len(statements) == 2
    assert intake.not_ahead == frozenset()


SLOTS = {"thread": 4}
AHEAD = {"thread": 12}  # slots, and as many as are claimed ahead


def look(intake: Intake, worker: UUID) -> str:
    """As a worker does whose slots are empty again; how many runs of which kind it claims."""
    runs = intake.claim(worker, AHEAD, None, SLOTS)
    limited_ones = sum(run.limit_name is not None for run in runs)
    return f"{limited_ones} limited, {len(runs) - limited_ones} others"


def test_limited_and_other_runs_take_turns_and_both_are_claimed_ahead(
    intake: Intake, worker: UUID, clock: Clock
) -> None:
    limited.in_turn.enqueue_many([[f"{number}"] for number in range(99)])
    tasks.noop.enqueue_many([[]] * 99)
    in_turn = ["0 limited, 12 others", "12 limited, 0 others"]
    assert [look(intake, worker) for _ in range(12)] == in_turn * 6
    assert intake.not_ahead == frozenset()


def test_in_their_turn_as_few_of_the_others_are_claimed_as_there_are_slots_left(
    intake: Intake, worker: UUID, clock: Clock
) -> None:
    """Those that were claimed ahead would take the slots that become free in that turn."""
    limits.synchronize()
    imports(a=9, b=9, c=9)
    tasks.noop.enqueue_many([[]] * 99)
    assert look(intake, worker) == "0 limited, 12 others"
    assert look(intake, worker) == "4 limited, 0 others"
    assert intake.not_ahead == {"thread"}
    assert look(intake, worker) == "1 limited, 3 others"
    assert intake.not_ahead == frozenset()  # nothing more can be taken
    assert look(intake, worker) == "0 limited, 12 others"


def test_a_limit_that_is_nearly_full_is_claimed_from_once_a_slot_is_empty(
    intake: Intake, worker: UUID, clock: Clock
) -> None:
    limits.synchronize()
    limits.change("rotation", {"at_once": 8})
    limited.in_turn.enqueue_many([["a"]] * 20)
    assert look(intake, worker) == "6 limited, 0 others"
    assert intake.not_ahead == {"thread"}
    assert intake.seconds(SLOTS) <= 0  # as soon as there is one
    assert lanes(intake.claim(worker, AHEAD, None, {"thread": 1})) == {"a": 1}
    with CaptureQueriesContext(
        connection
    ) as captured:  # in the turn of the others, of which are none
        assert intake.claim(worker, AHEAD, None, {"thread": 0}) == []
    assert not any("taskworks_limit" in query["sql"] for query in captured)
    assert intake.not_ahead == {"thread"}
    assert lanes(intake.claim(worker, AHEAD, None, {"thread": 1})) == {"a": 1}
    assert intake.claim(worker, AHEAD, None, {"thread": 1}) == []
    assert intake.not_ahead == frozenset()


def test_a_limit_that_holds_back_holds_up_no_other(
    intake: Intake, worker: UUID, clock: Clock
) -> None:
    limits.synchronize()
    imports(a=9, b=9, c=9)
    limited.in_turn.enqueue_many([[f"{number}"] for number in range(30)])
    found = intake.claim(worker, AHEAD, None, SLOTS)
    assert Counter(run.limit_name for run in found) == {"intake": 4, "rotation": 8}
    assert intake.not_ahead == frozenset()


def test_what_has_a_rate_is_not_claimed_ahead(intake: Intake, worker: UUID, clock: Clock) -> None:
    """If it was given back, it would have used its place in the rate."""
    limits.synchronize()
    limits.change("rotation", {"rate": "100/s", "burst": 100})
    limited.in_turn.enqueue_many([["a"]] * 20)
    assert look(intake, worker) == "4 limited, 0 others"
    assert intake.not_ahead == {"thread"}
    assert look(intake, worker) == "4 limited, 0 others"


def test_a_batch_takes_no_more_than_it_may_do(intake: Intake, worker: UUID) -> None:
    limited.in_turn.enqueue_many([[f"{number}"] for number in range(30)])
    assert len(intake.claim(worker, AHEAD, 7, SLOTS)) == 7


def test_while_slots_are_taken_for_long_each_kind_has_them_once(
    intake: Intake, worker: UUID, clock: Clock
) -> None:
    limits.synchronize()
    limits.change("rotation", {"at_once": 1})
    limited.in_turn.enqueue_many([[f"{number % 6}"] for number in range(30)])
    tasks.noop.enqueue_many([[]] * 60)
    looks = []
    for _ in range(6):
        looks.append(look(intake, worker))
        TaskRun.objects.in_hand().limited().update(state="successful")
        clock.now += 10
    assert looks == ["0 limited, 12 others", "5 limited, 0 others"] * 3


def test_each_kind_takes_what_the_other_leaves(intake: Intake, worker: UUID, clock: Clock) -> None:
    limited.in_turn.enqueue_many([[f"{number}"] for number in range(5)])
    tasks.noop.enqueue_many([[]] * 15)
    assert look(intake, worker) == "0 limited, 12 others"
    assert look(intake, worker) == "5 limited, 0 others"
    assert look(intake, worker) == "0 limited, 3 others"
    limited.in_turn.enqueue("a")
    tasks.noop.enqueue()
    intake.wake()
    assert look(intake, worker) == "1 limited, 1 others"


def test_while_others_have_slots_of_an_executor_limited_runs_of_another_do_not_miss_their_turn(
    intake: Intake, worker: UUID, clock: Clock
) -> None:
    limited.in_turn.enqueue_many([[f"{number}"] for number in range(5)])
    tasks.noop.enqueue_many([[]] * 30)
    tasks.noop.using(executor="process").enqueue_many([[]] * 30)
    assert look(intake, worker) == "0 limited, 12 others"
    for _ in range(9):  # no thread is free
        assert len(intake.claim(worker, {"process": 1}, None, {"process": 1})) == 1
        clock.now += 1
    assert look(intake, worker) == "5 limited, 0 others"


def test_a_look_that_takes_less_than_it_may_leaves_the_rest_to_the_other_kind(
    intake: Intake, worker: UUID
) -> None:
    limits.synchronize()
    imports(a=9)
    tasks.noop.enqueue_many([[]] * 20)
    assert lanes(claim(intake, worker, 9) + claim(intake, worker, 9)) == {"a": 2, None: 16}


def test_a_paused_queue_keeps_its_limited_runs_too(intake: Intake, worker: UUID) -> None:
    limited.in_turn.using(queue_name="mail").enqueue("a")
    limited.in_turn.enqueue("b")
    pause("mail")
    assert lanes(claim(intake, worker) + claim(intake, worker)) == {"b": 1}
    resume("mail")
    intake.wake()
    assert lanes(claim(intake, worker) + claim(intake, worker)) == {"a": 1}


def test_only_queues_that_the_worker_takes(worker: UUID) -> None:
    intake = Intake(store(), "default", Queues(("mail",)), RARELY, NoWakeUps())
    limited.in_turn.using(queue_name="mail").enqueue("a")
    limited.in_turn.enqueue("b")
    assert lanes(claim(intake, worker)) == {"a": 1}
    assert claim(intake, worker) == []


def test_a_claim_that_is_under_way_elsewhere_is_tried_again_at_once(
    intake: Intake, worker: UUID
) -> None:
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("SQLite has one writer at a time: no claim sees another under way.")
    limits.synchronize()
    imports(a=1)
    with held_elsewhere(lambda: [*Limit.objects.select_for_update().filter(name="intake")]):
        assert claim(intake, worker) == []
        assert intake.may_have_missed_some
        assert intake.seconds({"thread": 1}) < 0.01
    assert lanes(claim(intake, worker)) == {"a": 1}


# When it looks.


def test_an_idle_worker_takes_a_limited_run_as_soon_as_it_is_told(
    start_worker: StartWorker,
) -> None:
    """Case 10: a limit that is not full delays nothing; the poll is ten minutes away."""
    if connection.vendor == "mysql":
        start_worker(interval=0.05)
    else:
        idle(start_worker())
    wait_until_executed(limited.send.enqueue("ada"), *imports(a=3, b=1))


def test_who_frees_a_slot_uses_it_at_once(
    start_worker: StartWorker, gates: dict[str, threading.Event]
) -> None:
    """The poll is ten minutes away."""
    limits.synchronize()
    gates["a"] = threading.Event()
    results = imports(a=7)
    start_worker()
    wait_for(lambda: running("a") == 2, "the lane is full")
    gates["a"].set()
    wait_until_executed(*results)


@needs_news
def test_who_frees_a_slot_tells_the_others(
    start_worker: StartWorker, gates: dict[str, threading.Event]
) -> None:
    """What waits is in a queue that the one that frees the slot does not take."""
    limits.synchronize()
    gates["a"] = threading.Event()
    held = imports(a=2)
    first = start_worker(queues=Queues(("default",)))
    wait_for(lambda: running("a") == 2, "the lane is full")
    other = start_worker(queues=Queues(("mail",)))
    waiting = limited.import_file.using(queue_name="mail").enqueue("a")
    idle(other)
    assert TaskRun.objects.get(id=waiting.id).state == "ready"
    gates["a"].set()
    wait_until_executed(waiting, *held)
    assert first is not other


@needs_news
def test_who_stops_tells_the_others_of_the_slots_it_frees_at_last(
    start_worker: StartWorker, gates: dict[str, threading.Event]
) -> None:
    limits.synchronize()
    gates["a"] = threading.Event()
    first = start_worker()
    held = imports(a=2)
    wait_for(lambda: running("a") == 2, "the lane is full")
    waiting = imports(a=1)
    idle(start_worker())
    first.stop()
    gates["a"].set()
    wait_until_executed(*waiting, *held)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows each time that the other workers are told of something, however often that is."""
    told: list[str] = []
    monkeypatch.setattr(notifications, "NOTIFY_INTERVAL", 0.0)
    monkeypatch.setattr(type(store()), "_tell", lambda self, payload: told.append(payload))
    return told


@pytest.fixture
def default_intake() -> Intake:
    limits.synchronize()
    return Intake(store(), "default", Queues(("default",)), RARELY, NoWakeUps())


FOUR = {"thread": 4}


@pytest.mark.parametrize(("lanes", "tells"), [("ab", False), ("abab", False), ("aa", True)])
def test_who_takes_a_slot_again_need_not_tell_of_it(
    worker: UUID, told: list[str], lanes: str, tells: bool
) -> None:
    limits.synchronize()
    imports(a=2, b=2)
    line = Line("intake", "default", ("default",), "thread")
    of_lane = {run.lane: run for run in store().claim_limited(worker, line, 4).runs}
    by_name = {name: of_lane[lane] for name, lane in zip("ab", sorted(of_lane), strict=True)}
    freed = FreedSlots(store())
    told.clear()
    freed.recorded([Attempt(run, "of a test") for run in by_name.values()])
    freed.note_claimed([by_name[name] for name in lanes])
    freed.tell_others()
    freed.tell_others()
    assert len(told) == (tells and store().can_notify)


def test_others_are_told_of_a_slot_first_if_runs_wait_for_it_that_only_they_take(
    default_intake: Intake, worker: UUID, told: list[str]
) -> None:
    imports(a=4)
    runs = default_intake.claim(worker, FOUR, None)
    assert not default_intake.is_shared("intake")
    for other in ({"queue_name": "mail"}, {"executor": "process"}):
        waiting = TaskRun.objects.filter(id=limited.import_file.enqueue("a").id)
        waiting.update(**other)
        default_intake.wake()
        default_intake.claim(worker, FOUR, None)
        assert default_intake.is_shared("intake")
        told.clear()
        freed = FreedSlots(store(), is_shared=default_intake.is_shared)
        freed.recorded([Attempt(runs[0], "of a test")])
        assert len(told) == store().can_notify
        waiting.delete()
    default_intake.wake()
    default_intake.claim(worker, FOUR, None)
    assert not default_intake.is_shared("intake")


def freed_one(intake: Intake, runs: list[TaskRun]) -> None:
    """End the first of these claimed runs."""
    TaskRun.objects.filter(id=runs.pop(0).id).update(state="successful")
    intake.look_for_limited()


def test_a_free_slot_is_claimed_for_before_a_survey_and_one_follows(
    default_intake: Intake, worker: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports(a=5)
    runs = default_intake.claim(worker, FOUR, None)
    assert len(runs) == 2
    freed_one(default_intake, runs)
    with monkeypatch.context() as patch:
        patch.setattr(type(store()), "outlook", None)
        [run] = default_intake.claim(worker, FOUR, None)
    assert run.lane == runs[0].lane
    tasks.noop.enqueue()  # of which nobody tells this worker
    freed_one(default_intake, runs)
    assert {run.limit_name for run in default_intake.claim(worker, FOUR, None)} == {None, "intake"}


def test_a_pause_during_a_claim_for_a_free_slot_is_heeded(
    default_intake: Intake, worker: UUID, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """The claim has to wait for another session."""
    imports(a=5)
    monkeypatch.setattr(intake_module, "time", clock)
    runs = default_intake.claim(worker, FOUR, None)
    claim = Store.claim_limited

    def claim_late(self: Store, *given: Any) -> Any:
        claimed = claim(self, *given)
        pause("default")
        clock.now += 1
        return claimed

    monkeypatch.setattr(type(store()), "claim_limited", claim_late)
    freed_one(default_intake, runs)
    [run] = default_intake.claim(worker, FOUR, None)
    assert default_intake.held_up(run) is not None


def test_after_an_opening_that_gave_all_that_was_asked_for_there_may_be_more(worker: UUID) -> None:
    """Other lines of this executor were found to have no more before it."""
    limits.synchronize()
    imports(a=1, b=1, c=1)
    limited_runs, one = LimitedRuns(store(), "default"), {"thread": 1}
    limited_runs.survey(lambda queue: True, has_limited=True, paused=NOTHING)
    limited_runs._again, limited_runs._done = [*limited_runs._lines], {"thread"}
    for _ in range(3):
        assert len(limited_runs.claim(worker, one, one, 1, NOTHING)) == 1


def test_a_full_lane_holds_up_no_other_and_nothing_else(
    start_worker: StartWorker, gates: dict[str, threading.Event]
) -> None:
    limits.synchronize()
    gates["full"] = threading.Event()
    imports(full=50)
    start_worker(interval=0.05, sizes=Sizes(threads=4))
    wait_for(lambda: running("full") == 2, "the lane is full")
    wait_until_executed(
        *imports(b=5), tasks.noop.enqueue(), tasks.noop.using(priority=-9).enqueue()
    )
    assert running("full") == 2


def test_a_key_that_is_full_for_long_costs_a_few_statements_a_second(
    worker: UUID, clock: Clock
) -> None:
    """Case 6: however many runs wait in it, and however often the worker's loop turns."""
    limits.synchronize()
    imports(hot=300)
    limited_runs, four = LimitedRuns(store(), "default"), {"thread": 4}
    statements, claimed = 0, 0
    for turn in range(400):  # of the loop, in ten seconds
        clock.now += 0.025
        with CaptureQueriesContext(connection) as captured:
            limited_runs.survey(lambda queue: True, has_limited=True, paused=NOTHING)
            if limited_runs.wanted:
                claimed += len(limited_runs.claim(worker, four, four, 4, NOTHING))
        statements += len(captured) if turn > 10 else 0
    assert claimed == 2
    surveys = 10 / module.SURVEY_INTERVAL
    assert statements < surveys * 10


def test_workers_share_the_slots_of_a_limit(
    start_worker: StartWorker, gates: dict[str, threading.Event]
) -> None:
    limits.synchronize()
    tenants = ["a", "b", "c", "d"]
    gates.update({tenant: threading.Event() for tenant in tenants})
    results = imports(**dict.fromkeys(tenants, 5))
    for _ in range(3):
        start_worker(interval=0.05, sizes=Sizes(threads=9))
    wait_for(lambda: TaskRun.objects.in_hand().count() == 5, "the total is in hand")
    assert max(running(tenant) for tenant in tenants) <= 2
    for gate in gates.values():
        gate.set()
    wait_until_executed(*results)


def test_a_raised_number_is_used_at_once(
    start_worker: StartWorker, gates: dict[str, threading.Event]
) -> None:
    limits.synchronize()
    gates["a"] = threading.Event()
    imports(a=5)
    worker = start_worker(interval=0.05, sizes=Sizes(threads=9))
    wait_for(lambda: running("a") == 2, "the lane is full")
    limits.change("intake", {"at_once": 4})
    wait_for(lambda: running("a") == 4, "there are more slots")
    assert worker.id


def test_a_worker_that_stops_gives_its_slots_back(
    start_worker: StartWorker, gates: dict[str, threading.Event], settings: Any
) -> None:
    """Case 3."""
    settings.TASKWORKS = {"SHUTDOWN_TIMEOUT": 0.1, "INTERRUPT_GRACE": 0.1}
    limits.synchronize()
    gates["a"] = threading.Event()
    imports(a=3)
    worker = start_worker(interval=0.05)
    wait_for(lambda: running("a") == 2, "the lane is full")
    worker.stop()
    worker.stop()
    wait_for(lambda: running("a") == 0, "it has given them back")
    other = WorkerRow(id=uuid4(), label="another", hostname="here", pid=1)
    store().register(other)
    line = Line("intake", "default", ("default",), "thread")
    assert len(store().claim_limited(other.id, line, 9).runs) == 2


def test_limited_runs_do_not_starve_beside_others_that_are_claimed_ahead(
    start_worker: StartWorker,
) -> None:
    tasks.noop.enqueue_many([[]] * 3000)
    worker = start_worker(interval=0.05)
    wait_for(lambda: TaskRun.objects.successful().count() > 50, "it is busy")
    results = limited.in_turn.enqueue_many([["a"], ["b"]])
    wait_until_executed(*results)
    others = TaskRun.objects.filter(limit_name=None)
    assert others.exclude(state="successful").exists() or others.count() == 3000
    assert isinstance(worker, Worker)


class SeenPools(Pools):
    """Notes, of each kind, the most runs that a claim gave it beyond the empty slots."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.ahead: Counter[bool] = Counter()  # by whether they have a limit

    def submit(self, attempts: Iterable[Attempt]) -> None:
        attempts = list(attempts)
        for is_limited in (True, False):
            kind = [one for one in attempts if (one.run.limit_name is not None) is is_limited]
            beyond = len(kind) - self.empty["thread"]
            self.ahead[is_limited] = max(self.ahead[is_limited], beyond)
            super().submit(kind)


def test_a_worker_claims_both_kinds_ahead(start_worker: StartWorker) -> None:
    tasks.noop.enqueue_many([[]] * 1000)
    results = limited.in_turn.enqueue_many([[f"{number}"] for number in range(1000)])
    seen: list[SeenPools] = []

    def make_pools(*given: Any) -> SeenPools:
        seen.append(SeenPools(*given))
        return seen[0]

    start_worker(interval=0.05, make_pools=make_pools)
    wait_until_executed(*results)
    assert seen[0].ahead[True] > 4
    assert seen[0].ahead[False] > 4


# What others have written, and what comes late.


def test_a_batch_executes_what_its_own_limited_runs_enqueue() -> None:
    """Under a limit that had no ready runs before."""
    limited.import_and_tell.enqueue("acme")
    run_worker()
    assert [*TaskRun.objects.order_by("id").values_list("limit_name", "state")] == [
        ("intake", "successful"),
        ("mailer", "successful"),
    ]


def test_a_limited_run_for_an_executor_that_does_not_exist_ends_no_worker() -> None:
    odd, usual = imports(acme=2)
    TaskRun.objects.filter(id=odd.id).update(executor="gpu")
    run_worker()
    assert TaskRun.objects.get(id=usual.id).state == "successful"
    assert TaskRun.objects.get(id=odd.id).state == "ready"


def test_where_nothing_is_limited_any_more_nothing_is_missed(worker: UUID) -> None:
    """Others may have taken the rest while a claim was held up."""
    limited_runs, two = LimitedRuns(store(), "default"), {"thread": 2}
    imports(acme=3, globex=1)
    limited_runs.survey(lambda queue: True, has_limited=True, paused=NOTHING)
    assert len(limited_runs.claim(worker, two, two, 2, NOTHING)) == 2
    limited_runs.may_have_more = True
    limited_runs.survey(lambda queue: True, has_limited=False, paused=NOTHING)
    assert not limited_runs.may_have_more
    assert not limited_runs.wanted


def test_for_a_moment_after_news_each_look_is_a_survey(monkeypatch: pytest.MonkeyPatch) -> None:
    """More may have come, of which nobody is told again."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    limited_runs = LimitedRuns(store(), "default")
    imports(acme=1)
    limited_runs.note_news()
    limited_runs.survey(lambda queue: True, has_limited=True, paused=NOTHING)
    limited.send.enqueue("ann")
    clock.now += LOOK_AGAIN_AFTER
    limited_runs.survey(lambda queue: True, has_limited=True, paused=NOTHING)
    assert {line.limit for line in limited_runs._lines} == {"intake", "mailer"}


def test_the_task_of_a_run_says_its_limit_if_nobody_else_has(
    worker: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a module that only the process has imported which enqueues."""
    source = (
        "from taskworks import Limit, task\n@task(limit=Limit('late', at_once=1))\ndef work(): ..."
    )
    (tmp_path / "imported_late.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    columns = {"task_path": "imported_late.work", "limit_name": "late"}
    store().enqueue(new_runs(lanes=["x", "x"], **columns))
    line = Line("late", "default", ("default",), "thread")
    assert len(store().claim_limited(worker, line, 9).runs) == 1
    assert Limit.objects.get(name="late").at_once == 1
    declared_in_code.pop("late")
    sys.modules.pop("imported_late")
