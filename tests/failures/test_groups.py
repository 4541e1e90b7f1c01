"""Failed runs are in their groups, once each, and groups are retried as one."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from taskworks import control, task, task_backends
from taskworks.actions import bulk, failure_actions
from taskworks.duties.tidy import Tidying, tidy
from taskworks.failures.grouping import Grouping, forget_failures, group
from taskworks.models import Failure, FailureGroup, TaskRun
from taskworks.store import Store
from taskworks.store import store as store_of
from taskworks.store.shared_duties import failures_are_due
from taskworks.worker import Options, Queues, Sizes, Worker
from tests.behavior import run_worker
from tests.connections import begin_elsewhere
from tests.killed import killed_between
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "ValueError"


@task
def fail_or_not(error: str = "", text: str = "no luck") -> None:
    """Fails as it is told, until it is told not to."""
    if error == "type":
        raise TypeError(text)
    if error:
        raise ValueError(text)


@pytest.fixture
def store() -> Store:
    return store_of()


def failed(*errors: str) -> None:
    for error in errors:
        fail_or_not.enqueue(error, f"about {uuid4()}")
    run_worker()


def counts() -> dict[str, int]:
    return {g.exception.rpartition(".")[2]: g.count for g in FailureGroup.objects.all()}


def only() -> FailureGroup:
    return FailureGroup.objects.get()


def test_failures_are_grouped_by_what_was_raised_where(store: Store, settings: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "RELEASE": "v1"}
    failed("value", "value", "type", "")
    assert group(store) == 3
    assert group(store) == 0
    assert counts() == {"ValueError": 2, "TypeError": 1}
    settings.TASKWORKS = {**settings.TASKWORKS, "RELEASE": "v2"}
    failed("value")
    assert group(store) == 1
    one = FailureGroup.objects.get(exception="builtins.ValueError")
    assert (one.task_path, one.place) == (
        "tests.failures.test_groups.fail_or_not",
        "tests/failures/test_groups.py:fail_or_not",
    )
    assert (one.count, one.first_release, one.last_release) == (3, "v1", "v2")
    runs = TaskRun.objects.filter(state="failed", errors__contains="ValueError")
    times = sorted(run.finished_at for run in runs if run.finished_at)
    assert (one.first_at, one.last_at) == (times[0], times[-1])
    assert one.message.startswith("about ")
    assert TaskRun.objects.get(id=one.sample).finished_at == times[-1]


def test_a_run_that_fails_again_after_a_retry_counts_again(store: Store) -> None:
    failed("value")
    group(store)
    run = TaskRun.objects.get()
    task_backends["default"].retry(str(run.id))
    assert group(store) == 0
    run_worker()
    assert group(store) == 1
    assert only().count == 2
    assert Failure.objects.count() == 1


def test_an_older_failure_that_is_found_late_is_not_the_last(store: Store) -> None:
    failed("value", "value")
    runs = [*TaskRun.objects.order_by("finished_at")]
    TaskRun.objects.filter(id=runs[0].id).update(finished_at=store.read_clock() - timedelta(days=3))
    assert group(store) == 1
    assert group(store, within=None) == 1
    old, new = TaskRun.objects.get(id=runs[0].id), TaskRun.objects.get(id=runs[1].id)
    assert (only().first_at, only().last_at) == (old.finished_at, new.finished_at)
    assert (only().count, only().sample) == (2, new.id)


def test_tidying_finds_what_nobody_has_grouped(store: Store) -> None:
    failed("value")
    TaskRun.objects.update(finished_at=store.read_clock() - timedelta(days=3))
    tidy(store)
    assert counts() == {"ValueError": 1}


def test_failures_whose_runs_are_gone_are_forgotten_and_their_group_is_not(store: Store) -> None:
    failed("value", "type")
    group(store)
    TaskRun.objects.filter(errors__contains=KEY).delete()
    tidy(store)
    assert Failure.objects.count() == 1
    assert counts() == {"ValueError": 1, "TypeError": 1}
    FailureGroup.objects.update(last_at=store.read_clock() - timedelta(days=401))
    assert forget_failures(store, None, 10) is None
    assert counts() == {}


def test_nonsense_in_a_row_is_a_failure_too(store: Store) -> None:
    failed("value", "value")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE taskworks_taskrun SET errors = 'nonsense'")
    assert group(store) == 2
    assert (only().exception, only().place, only().count) == ("", "", 2)


def test_what_is_too_long_for_a_group_is_cut(store: Store) -> None:
    failed("value", "value")
    for run in TaskRun.objects.all():
        long = {**run.errors[-1], "exception_class_path": "E" * 5000, "release": "r" * 5000}
        run.errors = [{**long, "traceback": f"{'E' * 5000}: {'m' * 5000}"}]
        run.save()
    assert group(store) == 2
    assert (len(only().exception), len(only().last_release), len(only().message)) == (
        512,
        200,
        1000,
    )


def test_it_is_due_after_a_failure_until_somebody_has_begun(store: Store) -> None:
    def is_due() -> bool:
        return bool(TaskRun.objects.annotate(due=failures_are_due()).first().due)  # type: ignore[union-attr]

    failed("")
    assert not is_due()
    failed("value")
    assert is_due()
    assert store.begin_duty("bookkeeping")
    assert not is_due()


def test_a_worker_groups_by_itself_without_statistics(store: Store, settings: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "STATISTICS": False}
    fail_or_not.enqueue("value")
    options = Options(queues=Queues(), sizes=Sizes(threads=1), interval=0.02)
    worker = Worker(task_backends["default"], options)
    running = begin_elsewhere(worker.run)
    try:
        wait_for(lambda: counts() == {"ValueError": 1}, "it is grouped")
    finally:
        worker.stop()
        running.result(timeout=60)


# Kills and races.


def test_killed_between_any_two_statements_each_counts_once(store: Store) -> None:
    failed("value")
    group(store)
    failed("value", "type")
    for _ in killed_between(lambda: group(store), at_least=6):
        # MySQL and MariaDB are told something after the commit.
        assert counts() in ({"ValueError": 1}, {"ValueError": 2, "TypeError": 1})
    assert counts() == {"ValueError": 2, "TypeError": 1}


def test_many_group_at_once(store: Store) -> None:
    failed(*["value"] * 30, *["type"] * 10)
    grouping = [begin_elsewhere(lambda: [group(store) for _ in range(5)]) for _ in range(4)]
    for one in grouping:
        one.result(timeout=60)
    group(store)
    assert counts() == {"ValueError": 30, "TypeError": 10}


def test_each_step_looks_at_a_chunk_and_each_run_is_looked_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskworks.failures.grouping.CHUNK", 3)
    failed(*["value"] * 7)
    assert group(store) == 7
    grouping, lengths = Grouping(store), []
    has_more = True
    while has_more:
        with CaptureQueriesContext(connection) as queries:
            has_more = grouping.step()
        lengths.append(len(queries))
    assert (grouping.grouped, lengths) == (0, [2, 2, 2])
    assert only().count == 7


def test_a_person_s_words_survive_what_workers_write(store: Store) -> None:
    failed("value")
    group(store)
    control.annotate_failures(only().fingerprint, 'We know: it\'s "odd".\n')
    control.mute_failures(only().fingerprint, until=timedelta(hours=1))
    failed("value")
    group(store)
    assert (only().count, only().note) == (2, 'We know: it\'s "odd".\n')
    assert only().muted_until is not None
    assert not FailureGroup.objects.unmuted().exists()
    control.mute_failures(only().fingerprint, until=None)
    assert FailureGroup.objects.unmuted().exists()


# Retry a group.


def test_a_group_is_retried_run_by_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 2)
    failed(*["value"] * 5, "type")
    group(store)
    TaskRun.objects.filter(errors__contains=KEY).update(kwargs={}, args=[])
    value = FailureGroup.objects.get(exception="builtins.ValueError")
    assert control.retry_failures(value.fingerprint) == (5, 0, "")
    assert TaskRun.objects.ready().count() == 5
    assert control.retry_failures(value.fingerprint) == (0, 0, "")
    run_worker()
    assert sorted(TaskRun.objects.values_list("state", flat=True)) == [
        "failed",
        *["successful"] * 5,
    ]


def test_only_those_that_failed_of_late_are_retried(store: Store) -> None:
    failed("value", "value")
    first = TaskRun.objects.order_by("finished_at").first()
    assert first is not None
    TaskRun.objects.filter(id=first.id).update(finished_at=store.read_clock() - timedelta(days=2))
    group(store, within=None)
    retried = control.retry_failures(only().fingerprint, within=timedelta(days=1))
    assert retried.retried == 1
    assert TaskRun.objects.get(id=first.id).state == "failed"


def test_what_cannot_be_retried_is_told(store: Store) -> None:
    failed("value")
    group(store)
    TaskRun.objects.update(backend="gone")
    retried = control.retry_failures(only().fingerprint)
    assert (retried.retried, retried.not_applicable) == (0, 1)
    assert "Its backend is gone" in retried.reason


@pytest.mark.parametrize(
    "act",
    [
        control.retry_failures,
        partial(control.mute_failures, until=None),
        partial(control.annotate_failures, note="x"),
    ],
)
def test_a_group_that_there_is_not_is_refused(store: Store, act: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="There is no group of failures 'abc'"):
        act("abc")


def test_bad_words_are_refused(store: Store) -> None:
    failed("value")
    group(store)
    with pytest.raises(ValueError, match="note must be at most"):
        control.annotate_failures(only().fingerprint, "x" * 10_001)
    with pytest.raises(ValueError, match="must be in the future"):
        control.mute_failures(only().fingerprint, until=timedelta(0))
    assert (only().note, only().muted_until) == ("", None)


# The command.


def taskworks(*arguments: Any) -> str:
    output = StringIO()
    call_command("taskworks", *map(str, arguments), stdout=output)
    return output.getvalue()


def test_the_command_lists_retries_and_mutes(store: Store) -> None:
    assert taskworks("failures") == "There are no failures.\n"
    failed("value", "value", "type")
    ungrouped = "3 of the runs that failed last are in no group yet. "
    assert taskworks("failures").startswith(ungrouped)
    group(store)
    name = FailureGroup.objects.get(exception="builtins.ValueError").fingerprint
    lines = taskworks("failures").splitlines()
    assert len(lines) == 3
    assert any(
        "builtins.ValueError  tests/failures/test_groups.py:fail_or_not  2" in x for x in lines
    )
    assert "Message: about" in taskworks("failures", name)
    taskworks("failures", name, "--mute-until", 3600, "--note", "known\x1b[31m")
    assert name not in taskworks("failures")
    FailureGroup.objects.update(muted_until=store.read_clock() + timedelta(hours=1))
    assert taskworks("failures").startswith("All groups of failures are muted.")
    FailureGroup.objects.exclude(fingerprint=name).update(muted_until=None)
    assert "Note: known\\x1b[31m" in taskworks("failures", name)
    assert name in taskworks("failures", "--muted")
    assert taskworks("failures", name, "--retry") == "Retried 2 runs.\n"
    [told] = json.loads(taskworks("failures", name, "--unmute", "--json"))
    assert (told["count"], told["open"], told["muted_until"]) == (2, 0, None)


@pytest.mark.parametrize("is_one", [False, True])
@pytest.mark.parametrize(("most", "is_capped"), [(1, True), (2, True), (3, False)])
def test_json_says_that_there_may_be_more(
    store: Store, monkeypatch: pytest.MonkeyPatch, is_one: bool, most: int, is_capped: bool
) -> None:
    failed("value", "value")
    group(store)
    bound = "MAX_COUNTED" if is_one else "MAX_COUNTED_OF_EACH"
    monkeypatch.setattr(failure_actions, bound, most)
    named = [only().fingerprint] if is_one else []
    [told] = json.loads(taskworks("failures", *named, "--json"))
    assert (told["open"], told["is_capped"]) == (min(most, 2), is_capped)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--retry"], "--retry requires a GROUP"),
        (["--note", "x"], "--note requires a GROUP"),
        (["abc"], "no group of failures 'abc'"),
        (["abc", "--within", "5"], "--within requires --retry"),
        (["abc", "--mute-until", "5", "--unmute"], "do not go together"),
        (["abc", "--mute-until", "0"], "no group of failures"),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint) as error:
        taskworks("failures", *arguments)
    assert error.value.returncode == 2


def test_a_list_of_groups_takes_two_statements(store: Store) -> None:
    failed("value", "type")
    group(store)
    with CaptureQueriesContext(connection) as queries:
        assert len(failure_actions.latest(20)) == 2
    assert len(queries) == 2


def test_a_duty_that_fails_does_not_keep_others_from_their_turns(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> bool:
        raise DatabaseError("nonsense")

    failed("value")
    tidying = Tidying(store)
    tidying._duties = (broken, *tidying._duties)
    with pytest.raises(DatabaseError):
        tidying.step()
    while tidying.step():
        pass
    assert only().count == 1
