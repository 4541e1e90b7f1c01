"""People act on all runs that a filter means: each once, as far as it applies at that moment."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection

from taskworks import control
from taskworks.actions import bulk, bulk_run
from taskworks.actions.bulk import act_on_all, carry_out, preview, target_of
from taskworks.actions.run_actions import Verdict
from taskworks.actions.verbs import Action, Done, Verb, act, act_on_one
from taskworks.exceptions import InvalidTaskBackend
from taskworks.filtering import RunFilter
from taskworks.models import Edge, Failure, RunState, StepRecord, TaskRun, Worker, Workflow
from taskworks.signals import task_cancelled
from taskworks.store import store as store_of
from tests.behavior import run_worker
from tests.connections import begin_elsewhere, elsewhere, held_elsewhere, wait_until_blocked
from tests.tasks import noop

pytestmark = pytest.mark.django_db(transaction=True)

RETRY, CANCEL, RUN_NOW, DELETE = map(Action, (Verb.RETRY, Verb.CANCEL, Verb.RUN_NOW, Verb.DELETE))
FAILED = RunFilter(states=(RunState.FAILED,))


@pytest.fixture
def now() -> datetime:
    return store_of().read_clock()


def make(state: str, **columns: Any) -> TaskRun:
    at = store_of().read_clock() - timedelta(minutes=5)
    ended = {"finished_at": at} if state in ("failed", "successful", "cancelled") else {}
    given = {"backend": "default", "queue_name": "default", "task_path": noop.module_path}
    times = {"enqueued_at": at, "available_at": at}
    return TaskRun.objects.create(**given | {"state": state} | times | ended | columns)


def again(run: TaskRun) -> TaskRun:
    return TaskRun.objects.get(id=run.id)


def states() -> dict[str, int]:
    found: dict[str, int] = {}
    for state in TaskRun.objects.values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found


class TestRetry:
    def test_failed_ones_are_meant_unless_states_are_named(self) -> None:
        failed = [make("failed", failures=2, crashes=1, expires_at=None) for _ in range(3)]
        cancelled, other = make("cancelled"), make("failed", queue_name="mail")
        make("successful")
        assert carry_out(RETRY, RunFilter(queues=("default",))) == Done(3)
        for run in failed:
            row = again(run)
            assert (row.state, row.failures, row.crashes, row.finished_at) == ("ready", 0, 0, None)
            assert row.available_at > run.available_at
        assert (again(cancelled).state, again(other).state) == ("cancelled", "failed")
        assert carry_out(RETRY, RunFilter(states=(RunState.CANCELLED,))) == Done(1)
        assert states() == {"ready": 4, "failed": 1, "successful": 1}

    def test_what_more_is_to_be_done_for_is_done_one_by_one(self) -> None:
        workflow = Workflow.objects.create(name="w", created_at=store_of().read_clock())
        member = make("failed", workflow=workflow.id)
        suspect = make("failed", executor="alone")
        make("failed", backend="gone")
        done = carry_out(RETRY, FAILED)
        assert (done.done, done.not_applicable) == (2, 1)
        assert done.reason.startswith("Its backend is gone:")
        assert (again(member).state, again(suspect).state) == ("ready", "ready")
        assert again(suspect).executor == "thread"

    def test_a_run_that_fails_again_meanwhile_is_left_alone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "CHUNK", 2)
        runs = [make("failed") for _ in range(5)]
        target = target_of(RETRY, FAILED)
        for some in act_on_all(target):
            assert some.not_applicable == 0
            TaskRun.objects.filter(state="ready").update(
                state="failed", finished_at=store_of().read_clock(), attempts=1
            )
        assert {again(run).attempts for run in runs} == {1}
        assert [*act_on_all(target)] == []  # nor when it is repeated


class TestOtherVerbs:
    def test_cancel(self) -> None:
        heard: list[str] = []

        def hear(task_result: Any, **kwargs: Any) -> None:
            heard.append(task_result.id)

        waiting = [make(state) for state in ("ready", "scheduled", "blocked")]
        worker = uuid4()
        running = make("running", claimed_by=worker, claim_token=uuid4(), attempts=1)
        make("failed")
        task_cancelled.connect(hear)
        try:
            done = carry_out(CANCEL, RunFilter(queues=("default",)))
        finally:
            task_cancelled.disconnect(hear)
        assert done == Done(4, asked=1)
        assert {*heard} == {str(run.id) for run in waiting}
        assert {again(run).state for run in waiting} == {"cancelled"}
        assert again(waiting[0]).errors[0]["exception_class_path"].endswith("TaskCancelled")
        assert again(running).cancel_requested_at is not None
        assert states() == {"cancelled": 3, "running": 1, "failed": 1}

    def test_run_now(self, now: datetime) -> None:
        later = now + timedelta(hours=1)
        runs = [make("scheduled", available_at=later), make("scheduled", available_at=later)]
        make("ready")
        assert carry_out(RUN_NOW, RunFilter(ids=(runs[0].id,))) == Done(1)
        assert (again(runs[0]).state, again(runs[1]).state) == ("ready", "scheduled")
        assert again(runs[0]).available_at < later
        TaskRun.objects.filter(id=runs[1].id).update(last_attempted_at=store_of().read_clock())
        begun = act(RUN_NOW, [again(runs[1])], now)
        assert begun.not_applicable == 1  # it has run since, and waits for its retry

    def test_move(self) -> None:
        waiting = [make(state) for state in ("ready", "scheduled", "blocked")]
        running = make("running", claimed_by=uuid4(), claim_token=uuid4())
        meant = RunFilter(queues=("default",))
        assert carry_out(Action(Verb.MOVE, "mail", 7), meant) == Done(3)
        assert {(again(run).queue_name, again(run).priority) for run in waiting} == {("mail", 7)}
        assert again(running).queue_name == "default"
        assert carry_out(Action(Verb.MOVE, priority=-3), RunFilter(queues=("mail",))) == Done(3)
        assert {(again(run).queue_name, again(run).rank) for run in waiting} == {("mail", 3)}
        gone = make("ready", backend="gone")
        done = act(Action(Verb.MOVE, "default"), [gone], store_of().read_clock())
        assert (done.done, done.not_applicable) == (0, 1)
        assert "backend" in done.reason

    def test_delete(self) -> None:
        ended = [make(state) for state in ("failed", "cancelled", "successful")]
        StepRecord.objects.create(
            run=ended[0].id, name="s", kind="step", value="1", ended_at=store_of().read_clock()
        )
        member, ready = make("failed", workflow=uuid4()), make("ready")
        followed = make("successful")
        Edge.objects.create(run=ready.id, after=followed.id)
        done = carry_out(DELETE, RunFilter(queues=("default",)))
        assert (done.done, done.not_applicable) == (3, 2)
        assert {run.id for run in TaskRun.objects.all()} == {member.id, ready.id, followed.id}
        assert not StepRecord.objects.exists()


class TestRaces:
    """What has been read may have changed by the time of the write."""

    @pytest.mark.parametrize(
        ("action", "state", "changed"),
        [
            (RETRY, "failed", {"state": "running", "attempts": 2, "finished_at": None}),
            (CANCEL, "ready", {"state": "successful"}),
            (RUN_NOW, "scheduled", {"state": "claimed"}),
            (Action(Verb.MOVE, "mail"), "ready", {"state": "claimed"}),
            (DELETE, "failed", {"state": "ready", "finished_at": None}),
        ],
        ids=str,
    )
    def test_a_run_that_has_moved_on_is_left_as_it_is(
        self, action: Action, state: str, changed: dict[str, Any]
    ) -> None:
        run = make(state)
        elsewhere(lambda: TaskRun.objects.filter(id=run.id).update(**changed))
        before = again(run).__dict__
        done = act(action, [run], store_of().read_clock())
        assert (done.done, done.not_applicable) == (0, 1)
        assert done.reason
        after = again(run).__dict__
        assert {**before, "_state": 0} == {**after, "_state": 0}

    def test_one_that_is_locked_is_waited_for_alone(self) -> None:
        if connection.vendor == "sqlite":
            pytest.skip("SQLite locks everything")
        runs = [make("failed") for _ in range(3)]
        locked = TaskRun.objects.filter(id=runs[0].id)

        def succeed() -> int:
            return locked.update(state="successful")

        with held_elsewhere(succeed):
            acting = begin_elsewhere(lambda: carry_out(RETRY, FAILED))
            wait_until_blocked()
            assert {again(run).state for run in runs[1:]} == {"ready"}
        done = acting.result(timeout=60)
        assert (done.done, done.not_applicable) == (2, 1)
        assert again(runs[0]).state == "successful"

    def test_two_who_retry_the_same_retry_each_run_once(self) -> None:
        runs = [make("failed") for _ in range(60)]
        both = [begin_elsewhere(lambda: carry_out(RETRY, FAILED)) for _ in range(2)]
        results = [one.result(timeout=60) for one in both]
        assert sum(one.done for one in results) == len(runs)
        assert states() == {"ready": len(runs)}

    def test_a_move_and_a_claim_of_the_same_run(self) -> None:
        runs = [make("ready") for _ in range(40)]
        worker = Worker(label="w", hostname="h", pid=1)
        store_of().register(worker)

        def claim() -> int:
            return len(store_of().claim(worker.id, "default", ["default"], {"thread": 40}))

        def moving() -> Done:
            return carry_out(Action(Verb.MOVE, "mail"), RunFilter(queues=("default",)))

        claiming, moved = begin_elsewhere(claim), begin_elsewhere(moving)
        claimed = claiming.result(timeout=60)
        assert claimed + moved.result(timeout=60).done == len(runs)
        assert TaskRun.objects.filter(state="claimed", queue_name="default").count() == claimed
        assert TaskRun.objects.filter(state="ready", queue_name="default").count() == 0


@pytest.mark.thorough_on_servers
class TestBadInput:
    def test_an_empty_filter_is_refused(self) -> None:
        make("failed")
        for action in (RETRY, CANCEL, DELETE):
            with pytest.raises(ValueError, match="an empty filter means all runs"):
                carry_out(action, RunFilter())
        assert states() == {"failed": 1}

    def test_states_to_which_it_does_not_apply_are_refused(self) -> None:
        for action, state in ((RETRY, "successful"), (CANCEL, "failed"), (DELETE, "ready")):
            with pytest.raises(ValueError, match=f"runs can be .*, not {state} ones"):
                carry_out(action, RunFilter(states=(RunState(state),)))
        with pytest.raises(ValueError, match="not failed ones"):
            carry_out(CANCEL, RunFilter(group="0" * 16))

    def test_a_filter_that_matches_nothing_does_nothing(self) -> None:
        make("failed")
        assert carry_out(RETRY, RunFilter(queues=("no such",))) == Done()
        assert preview(RETRY, RunFilter(queues=("no such",))).count == 0

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ((None, None), "Say where to move the runs"),
            (("a\nb", None), "The name of a queue must be"),
            ((7, None), "must be the name of a queue, not 7"),
            ((None, 101), "priority must be from -100 to 100, not 101"),
            ((None, True), "priority must be a whole number, not True"),
        ],
    )
    def test_a_place_that_is_none_is_refused(self, arguments: Any, error: str) -> None:
        with pytest.raises((TypeError, ValueError), match=error):
            Action(Verb.MOVE, *arguments)

    def test_a_queue_that_is_not_in_the_settings_is_refused(self, settings: Any) -> None:
        backend = settings.TASKS["default"]
        settings.TASKS = {"default": {**backend, "QUEUES": ["default", "mail"]}}
        run = make("ready")
        answer = act_on_one(Action(Verb.MOVE, "male"), run)
        assert answer.verdict == Verdict.NOT_APPLICABLE
        assert "has no queue 'male' in TASKS. Did you mean 'mail'?" in answer.reason
        assert act_on_one(Action(Verb.MOVE, "mail"), run).verdict == Verdict.MOVED

    def test_what_python_gives_is_checked_as_what_people_write(self) -> None:
        with pytest.raises(ValueError, match=r"Did you mean 'failed'\?"):
            control.retry_runs(state="faild")
        with pytest.raises(ValueError, match="no filter 'colour'"):
            control.retry_runs(colour="red")
        with pytest.raises(ValueError, match="queue is empty"):
            control.cancel_runs(queue="")
        with pytest.raises(
            ValueError, match=r"no action 'retrie' for runs. Did you mean 'retry'\?"
        ):
            control.preview_runs("retrie", state="failed")
        with pytest.raises(ValueError, match="Only a move has a queue"):
            control.preview_runs("retry", to_queue="mail", state="failed")


@pytest.mark.thorough_on_servers
class TestPreview:
    def test_it_counts_up_to_a_bound_and_writes_nothing(self) -> None:
        entry = {
            "attempt": 1,
            "at": "2026-01-01T00:00:00+00:00",
            "worker_id": "w",
            "exception_class_path": "builtins.KeyError",
            "traceback": "KeyError: 'sku'",
        }
        for number in range(7):
            make("failed", errors=[entry] if number < 4 else [])
        make("failed", task_path="tests.tasks.fail")
        seen = preview(RETRY, FAILED)
        assert (seen.count, seen.is_capped, seen.count_in_words) == (8, False, "8 runs")
        assert seen.by_task == {"tests.tasks.noop": 7, "tests.tasks.fail": 1}
        assert seen.by_error == {"builtins.KeyError": 4}
        assert len(seen.sample) == 5
        capped = preview(RETRY, FAILED, most=3)
        assert (capped.count, capped.is_capped) == (3, True)
        assert capped.count_in_words == "3 or more runs"
        assert states() == {"failed": 8}


@pytest.mark.thorough_on_servers
class TestInTheBackground:
    @pytest.fixture(autouse=True)
    def _small_chunks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bulk, "CHUNK", 2)

    def test_a_run_acts_on_all_and_tells(self) -> None:
        runs = [make("failed", queue_name="other") for _ in range(5)]
        result = control.act_in_background("retry", queue="other", by="Ada")
        make("failed", queue_name="other", enqueued_at=store_of().read_clock())
        run_worker("--queues", "default")
        result.refresh()
        assert result.return_value == {"done": 5, "asked": 0, "not_applicable": 0, "reason": ""}
        assert (result.progress, result.target) == (5, 5)
        assert [message.text for message in result.messages] == ["Retried 5 runs."]
        assert {again(run).state for run in runs} == {"ready"}
        assert TaskRun.objects.filter(state="failed").count() == 1  # not one that came later

    def test_cancelling_it_stops_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        runs = [make("failed", queue_name="other") for _ in range(6)]
        result = control.act_in_background("retry", queue="other")
        acting = bulk.act

        def act_and_be_cancelled(*arguments: Any) -> Done:
            elsewhere(result.cancel)
            return acting(*arguments)

        monkeypatch.setattr(bulk, "act", act_and_be_cancelled)
        run_worker("--queues", "default")
        result.refresh()
        assert result.is_cancelled
        assert [message.text for message in result.messages] == ["Stopped. Retried 2 runs."]
        assert states() == {"ready": 2, "failed": 4, "cancelled": 1}
        assert len(runs) == 6

    def test_a_crash_in_between_repeats_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        runs = [make("failed", queue_name="other") for _ in range(5)]
        result = control.act_in_background("retry", queue="other")
        acting, calls = bulk.act, []

        def act_and_fail(*arguments: Any) -> Done:
            done = acting(*arguments)
            calls.append(done)
            if len(calls) == 2:
                # What was retried fails again meanwhile, which is not to be undone.
                ended = TaskRun.objects.filter(state="ready", queue_name="other")
                ended.update(state="failed", finished_at=store_of().read_clock(), attempts=1)
                raise ConnectionError
            return done

        monkeypatch.setattr(bulk, "act", act_and_fail)
        run_worker("--queues", "default")
        TaskRun.objects.filter(id=result.id).update(
            state="ready", available_at=store_of().read_clock()
        )
        run_worker("--queues", "default")
        result.refresh()
        assert [done.done for done in calls] == [2, 2, 1]
        assert sorted(again(run).state for run in runs) == ["failed"] * 4 + ["ready"]
        assert result.return_value["done"] in (3, 5)  # as far as the first could write it

    def test_it_finds_a_queue_and_a_backend_of_its_own(self, settings: Any) -> None:
        kind = settings.TASKS["default"]["BACKEND"]
        settings.TASKS = {
            "default": {"BACKEND": "taskworks.backends.immediate.ImmediateBackend"},
            "stored": {"BACKEND": kind, "QUEUES": ["b", "a"]},
        }
        make("failed", backend="stored", queue_name="b")
        result = bulk_run.start(RETRY, FAILED)
        row = TaskRun.objects.get(id=result.id)
        assert (row.backend, row.queue_name) == ("stored", "a")
        assert row.task_path == "taskworks.actions.bulk_run.act_in_background"
        with pytest.raises(InvalidTaskBackend, match="does not store runs"):
            bulk_run.start(RETRY, FAILED, backend="default")


@pytest.mark.thorough_on_servers
class TestAudit:
    def test_one_entry_has_the_filter_and_the_count(self, caplog: pytest.LogCaptureFixture) -> None:
        user = get_user_model().objects.create_user("Ada\n[forged]")
        for _ in range(3):
            make("failed", queue_name="mail")
        with caplog.at_level(logging.INFO, "taskworks.audit"):
            control.retry_runs(queue="mail", by=user)
        [said] = [one for one in caplog.records if one.name == "taskworks.audit"]
        assert (said.count, said.filter["queue"]) == (3, ["mail"])  # type: ignore[attr-defined]
        assert said.getMessage() == (
            "Ada\\n[forged]: retry, failed runs in the queue mail. Retried 3 runs."
        )
        [entry] = LogEntry.objects.all()
        assert (entry.user, entry.object_id) == (user, None)
        assert entry.change_message == "retry: failed runs in the queue mail. Retried 3 runs."

    def test_a_name_is_only_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        make("failed")
        with caplog.at_level(logging.INFO, "taskworks.audit"):
            control.retry_runs(state="failed", by="cron")
        assert [one.by for one in caplog.records if one.name == "taskworks.audit"] == ["cron"]  # type: ignore[attr-defined]
        assert not LogEntry.objects.exists()

    def test_what_was_done_before_an_error_is_recorded(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "CHUNK", 1)
        for _ in range(3):
            make("failed")

        def one_and_an_error(target: Any) -> Iterator[Done]:
            yield from islice(act_on_all(target), 1)
            raise ConnectionError

        monkeypatch.setattr(bulk, "act_on_all", one_and_an_error)
        with (
            caplog.at_level(logging.INFO, "taskworks.audit"),
            pytest.raises(ConnectionError),
        ):
            control.retry_runs(state="failed")
        assert [one.count for one in caplog.records if one.name == "taskworks.audit"] == [1]  # type: ignore[attr-defined]


def test_a_group_is_retried_by_its_index_and_each_run_once(now: datetime) -> None:
    runs = [make("failed") for _ in range(3)]
    for run in runs:
        Failure.objects.create(run=run.id, fingerprint="f" * 16, at=run.finished_at)
    Failure.objects.create(run=UUID(int=7), fingerprint="f" * 16, at=now)
    make("failed")
    assert carry_out(RETRY, RunFilter(group="f" * 16)) == Done(3)
    assert states() == {"ready": 3, "failed": 1}


@pytest.mark.thorough_on_servers
class TestAuditOfTheAdmin:
    def test_one_run_has_it_in_its_history_and_several_are_one_entry(self, client: Any) -> None:
        user = get_user_model().objects.create_superuser("Ada")
        client.force_login(user)
        runs = [make("failed") for _ in range(3)]
        address = "/admin/taskworks/taskrun/"
        client.post(f"{address}{runs[0].id}/action/retry/")
        data = {"action": "retry", "_selected_action": [str(run.id) for run in runs]}
        client.post(address, data)
        first, second = LogEntry.objects.order_by("id")
        assert (first.object_id, first.change_message) == (
            str(runs[0].id),
            f"retry: run {runs[0].id}",
        )
        assert second.object_id is None
        assert second.change_message.startswith("retry: 2 runs: ")
        client.post(address, data)
        assert LogEntry.objects.count() == 2
        assert states() == {"ready": 3}
