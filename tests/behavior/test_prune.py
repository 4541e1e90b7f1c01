"""``manage.py taskworks prune``: by the settings' retention, or by ages of its own."""

from contextlib import suppress
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks import TaskResult
from taskworks.duties import prune as prune_duty
from taskworks.models import RunState, TaskRun, UniqueKey
from taskworks.store import store
from tests import tasks
from tests.behavior import rewrite, run_worker
from tests.behavior.test_worker import refusal

pytestmark = pytest.mark.django_db


def prune(*arguments: str, **options: Any) -> str:
    output = StringIO()
    call_command("taskworks", "prune", *arguments, stdout=output, **options)
    return output.getvalue().strip()


def ended(days: float, state: RunState = RunState.SUCCESSFUL, **options: Any) -> TaskResult:
    """A run that ended so many days ago."""
    result = tasks.noop.using(**options).enqueue()
    rewrite(result, state=state, finished_at=store().read_clock() - timedelta(days=days))
    return result


def left() -> set[str]:
    return {str(run_id) for run_id in TaskRun.objects.values_list("id", flat=True)}


def test_what_ended_two_weeks_ago_goes() -> None:
    ended(14.1)
    young = ended(13.9)
    assert prune() == "Deleted 1 task run."
    assert left() == {young.id}


def test_there_may_be_nothing_to_delete() -> None:
    assert prune() == "Deleted 0 task runs."


@pytest.mark.parametrize("state", [RunState.SUCCESSFUL, RunState.FAILED, RunState.CANCELLED])
def test_every_finished_state_goes(state: RunState) -> None:
    ended(31, state)
    ended(31, state)
    assert prune() == "Deleted 2 task runs."
    assert left() == set()


@pytest.mark.parametrize(
    "state", [RunState.SCHEDULED, RunState.READY, RunState.CLAIMED, RunState.RUNNING]
)
def test_what_is_not_finished_stays(state: RunState) -> None:
    ended(1000, state)
    assert prune("--min-age-days", "0") == "Deleted 0 task runs."
    assert len(left()) == 1


@pytest.mark.parametrize(("days", "goes"), [("2", True), ("2.5", True), ("3.5", False)])
def test_the_age_may_be_said(days: str, goes: bool) -> None:
    ended(3)
    prune("--min-age-days", days)
    assert (left() == set()) is goes


def test_at_an_age_of_nought_all_that_is_finished_goes() -> None:
    ended(0)
    assert prune("--min-age-days", "0") == "Deleted 1 task run."


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED])
class TestTheAgeOfFailures:
    def test_is_that_of_successes_unless_said(self, state: RunState) -> None:
        ended(3, state)
        assert prune("--min-age-days", "2") == "Deleted 1 task run."

    def test_is_that_of_the_settings_if_none_is_said(self, state: RunState) -> None:
        ended(31, state)
        young = ended(29, state)
        assert prune() == "Deleted 1 task run."
        assert left() == {young.id}

    def test_may_be_longer(self, state: RunState) -> None:
        failed = ended(3, state)
        ended(3)
        assert prune("--min-age-days", "2", "--failed-min-age-days", "4") == "Deleted 1 task run."
        assert left() == {failed.id}

    def test_may_be_nought(self, state: RunState) -> None:
        ended(0, state)
        succeeded = ended(3)
        assert prune("--failed-min-age-days", "0") == "Deleted 1 task run."
        assert left() == {succeeded.id}


def test_what_runs_leave_behind_goes_with_them() -> None:
    UniqueKey.objects.create(key=uuid4(), run=uuid4(), request="of a run that is gone")
    kept = UniqueKey.objects.create(key=uuid4(), run=ended(1).id, request="of another")
    prune("--dry-run")
    assert UniqueKey.objects.count() == 2
    prune()
    assert UniqueKey.objects.get() == kept


def test_only_the_queues_named_are_pruned() -> None:
    other = ended(15)
    ended(15, queue_name="mail")
    ended(15, queue_name="imports")
    assert prune("--queues", "mail,imports") == "Deleted 2 task runs."
    assert left() == {other.id}
    assert prune("--queues", "*") == "Deleted 1 task run."


def test_only_the_backend_named_is_pruned() -> None:
    ours, other = ended(15), ended(15, backend="other")
    assert prune("--backend", "other") == "Deleted 1 task run."
    assert left() == {ours.id}
    assert other.id not in left()
    assert prune() == "Deleted 1 task run."


def test_a_dry_run_counts_and_deletes_nothing() -> None:
    ended(15)
    ended(31, RunState.FAILED)
    ended(13)
    assert prune("--dry-run") == "Would delete 2 task runs."
    assert len(left()) == 3


def test_a_dry_run_may_count_one() -> None:
    ended(15)
    assert prune("--dry-run") == "Would delete 1 task run."


def test_chunks_reach_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune_duty, "MAX_CHUNK", 2)
    for _ in range(5):
        ended(15)
    assert prune() == "Deleted 5 task runs."
    assert left() == set()


def test_a_few_statements_do() -> None:
    for _ in range(5):
        ended(15)
    with CaptureQueriesContext(connection) as captured:
        prune()
    # And for what runs, schedules, pauses, steps and workflows leave behind; for statistics and
    # failures. On PostgreSQL, a transaction that locks rows is one more.
    assert len(captured) <= 9 + 4 + 4 + 10 + 5


def test_verbosity_0_says_nothing() -> None:
    ended(15)
    assert prune(verbosity=0) == ""
    assert left() == set()


@pytest.mark.parametrize("days", ["99999", "999999", "999999999", "1e300"])
def test_an_age_beyond_the_calendar_deletes_nothing_or_is_refused(days: str) -> None:
    ended(15)
    with suppress(CommandError):
        assert prune("--min-age-days", days) == "Deleted 0 task runs."
    assert len(left()) == 1


@pytest.mark.django_db(transaction=True)
def test_what_a_worker_has_just_done_goes_at_an_age_of_nought() -> None:
    tasks.noop.enqueue()
    tasks.fail.enqueue()
    run_worker()
    assert prune("--min-age-days", "0") == "Deleted 2 task runs."


class TestArguments:
    @pytest.mark.parametrize("option", ["--min-age-days", "--failed-min-age-days"])
    @pytest.mark.parametrize("days", ["-1", "-0.1", "inf", "nan", "old", ""])
    def test_that_are_no_age_are_refused(
        self, capsys: pytest.CaptureFixture[str], option: str, days: str
    ) -> None:
        error = refusal(capsys, "prune", f"{option}={days}")
        assert f"must be a number of days from 0 to 36500, not {days!r}" in error

    @pytest.mark.parametrize("alias", ["nobody", "immediate"])
    def test_name_a_database_backend(self, capsys: pytest.CaptureFixture[str], alias: str) -> None:
        assert repr(alias) in refusal(capsys, "prune", "--backend", alias)

    def test_given_by_keyword_are_refused_alike(self) -> None:
        with pytest.raises(CommandError) as error:
            prune(min_age_days=-1)
        assert error.value.returncode == 2
