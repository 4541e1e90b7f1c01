"""``RETENTION`` and ``QUEUE_RETENTION``: how long finished runs are kept."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from taskworks.framework import task_backends
from taskworks.models import RunState
from taskworks.options.retention import retention_of
from tests.behavior import DATABASE_BACKEND, Settings
from tests.behavior.test_prune import ended, left, prune

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def keep(settings: Settings, **options: Any) -> None:
    settings.TASKS = {
        **settings.TASKS,
        "default": {
            "BACKEND": DATABASE_BACKEND,
            "QUEUES": ["default", "mail", "imports"],
            "OPTIONS": options,
        },
    }


@pytest.mark.parametrize("outcome", ["successful", "failed", "cancelled"])
def test_each_outcome_has_an_age_of_its_own(settings: Settings, outcome: str) -> None:
    keep(settings, RETENTION={outcome: 2 * DAY})
    kept = {ended(3, state).id for state in RunState if state in others(outcome)}
    young = ended(1, RunState(outcome))
    ended(3, RunState(outcome))
    assert prune() == "Deleted 1 task run."
    assert left() == kept | {young.id}


def others(outcome: str) -> set[str]:
    return {"successful", "failed", "cancelled"} - {outcome}


def test_none_is_for_ever(settings: Settings) -> None:
    keep(settings, RETENTION={"successful": None})
    old = ended(10_000)
    ended(10_000, RunState.FAILED)
    assert prune() == "Deleted 1 task run."
    assert left() == {old.id}


def test_nothing_at_all_may_be_deleted(settings: Settings) -> None:
    keep(settings, RETENTION={"successful": None, "failed": None, "cancelled": None})
    ended(10_000)
    assert prune() == "Deleted 0 task runs."


class TestAQueue:
    def test_may_keep_its_runs_for_longer(self, settings: Settings) -> None:
        keep(settings, QUEUE_RETENTION={"mail": {"successful": 90 * DAY}})
        kept = ended(89, queue_name="mail")
        ended(91, queue_name="mail")
        ended(15)
        assert prune() == "Deleted 2 task runs."
        assert left() == {kept.id}

    def test_may_keep_them_for_less_long(self, settings: Settings) -> None:
        keep(settings, QUEUE_RETENTION={"mail": {"successful": DAY}})
        ended(2, queue_name="mail")
        kept = ended(2)
        assert prune() == "Deleted 1 task run."
        assert left() == {kept.id}

    def test_may_keep_them_for_ever(self, settings: Settings) -> None:
        keep(settings, QUEUE_RETENTION={"mail": {"successful": None}})
        kept = ended(10_000, queue_name="mail")
        ended(15, queue_name="imports")
        assert prune() == "Deleted 1 task run."
        assert left() == {kept.id}

    def test_has_the_other_ages_of_all(self, settings: Settings) -> None:
        keep(
            settings,
            RETENTION={"failed": 2 * DAY},
            QUEUE_RETENTION={"mail": {"successful": None}},
        )
        ended(3, RunState.FAILED, queue_name="mail")
        assert prune() == "Deleted 1 task run."

    def test_may_be_pruned_alone(self, settings: Settings) -> None:
        keep(settings, QUEUE_RETENTION={"mail": {"successful": DAY}})
        ended(2, queue_name="mail")
        kept = {ended(15).id, ended(13, queue_name="imports").id}
        ended(15, queue_name="imports")
        assert prune("--queues", "mail,imports") == "Deleted 2 task runs."
        assert left() == kept


def test_ages_on_the_command_line_go_before(settings: Settings) -> None:
    keep(settings, RETENTION={"failed": None}, QUEUE_RETENTION={"mail": {"successful": None}})
    ended(3, queue_name="mail")
    ended(3, RunState.FAILED)
    assert prune("--min-age-days", "2") == "Deleted 2 task runs."


def test_another_backend_keeps_its_own(settings: Settings) -> None:
    keep(settings, RETENTION={"successful": DAY})
    kept = ended(2, backend="other")
    ended(2)
    assert prune() == "Deleted 1 task run."
    assert left() == {kept.id}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"RETENTION": 14}, "['RETENTION'] must be a dict of ages by outcome, not 14."),
        (
            {"RETENTION": {"succesful": DAY}},
            "['RETENTION'] has no outcome 'succesful'. Did you mean 'successful'?",
        ),
        (
            {"RETENTION": {"failed": 30}},
            "['RETENTION']['failed'] must be a timedelta from 0 to 36,500 days, or None to keep "
            "such runs forever, not 30.",
        ),
        ({"RETENTION": {"failed": -DAY}}, "['RETENTION']['failed'] must be a timedelta from 0"),
        (
            {"RETENTION": {"failed": 36_501 * DAY}},
            "['RETENTION']['failed'] must be a timedelta from 0 to 36,500 days",
        ),
        ({"QUEUE_RETENTION": []}, "['QUEUE_RETENTION'] must be a dict, not []."),
        (
            {"QUEUE_RETENTION": {"mial": {}}},
            "['QUEUE_RETENTION'] has the queue 'mial', which is not in 'QUEUES'. "
            "Did you mean 'mail'?",
        ),
        (
            {"QUEUE_RETENTION": {"mail": {"failed": "30 days"}}},
            "['QUEUE_RETENTION']['mail']['failed'] must be a timedelta",
        ),
    ],
)
def test_what_is_wrong_is_an_error_of_the_check(
    settings: Settings, options: dict[str, Any], sentence: str
) -> None:
    keep(settings, **options)
    [error] = found_by_checks("taskworks.E007")
    assert f"TASKS['default']['OPTIONS']{sentence}" in error.msg
    with pytest.raises(ImproperlyConfigured):
        retention_of(task_backends["default"])


def test_a_key_that_is_spelt_wrong_is_pointed_out(settings: Settings) -> None:
    keep(settings, RETENTON={})
    [warning] = found_by_checks("taskworks.W002")
    assert "Did you mean 'RETENTION'?" in warning.msg


def found_by_checks(check: str) -> list[checks.CheckMessage]:
    """Each once: the standard's check is there twice where the backport is imported beside it."""
    return [*{found.msg: found for found in checks.run_checks() if found.id == check}.values()]
