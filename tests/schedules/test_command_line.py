"""``manage.py taskworks schedules``."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from taskworks.management.schedules_command import KEYS
from taskworks.models import Schedule, TaskRun
from taskworks.schedules import task_with_callable
from tests.schedules import shelf

pytestmark = pytest.mark.django_db

HEAR = "tests.schedules.shelf.hear"


def schedules(*arguments: Any) -> str:
    output = StringIO()
    call_command("taskworks", "schedules", *map(str, arguments), stdout=output)
    return output.getvalue()


def refused(code: int, *arguments: Any) -> tuple[str, str]:
    output = StringIO()
    with pytest.raises(CommandError) as error:
        call_command("taskworks", "schedules", *arguments, stdout=output)
    assert error.value.returncode == code
    return output.getvalue(), str(error.value)


@pytest.fixture
def mine() -> Schedule:
    task_with_callable(shelf.hear, "mine", "*/5 * * * *").save()
    return Schedule.objects.get(label="mine")


@pytest.fixture
def other() -> Schedule:
    task_with_callable(shelf.add, "other", timedelta(hours=2), enabled=False).save()
    return Schedule.objects.get(label="other")


class TestListing:
    def test_of_nothing(self) -> None:
        assert schedules() == "There are no schedules.\n"
        assert json.loads(schedules("--json")) == []

    def test_of_all(self, mine: Schedule, other: Schedule) -> None:
        head, first, second = schedules().splitlines()
        assert head.split() == [
            *["LABEL", "CALLABLE", "WHEN", "NEXT", "RUN", "LAST", "RUN", "STATE"]
        ]
        assert first.startswith(f"mine   {HEAR}  */5 * * * *")
        assert first.endswith("enabled")
        assert f"{mine.next_run:%Y-%m-%d %H:%M:%S}" in first
        assert "every 2:00:00" in second
        assert second.endswith("disabled")

    def test_of_some(self, mine: Schedule, other: Schedule) -> None:
        assert "mine" not in schedules("other")
        [keyed] = json.loads(schedules("other", "--json"))
        assert (keyed["label"], keyed["interval"], keyed["enabled"]) == ("other", "2:00:00", False)

    def test_as_json(self, mine: Schedule) -> None:
        [keyed] = json.loads(schedules("--json"))
        more = ["in_words", "state", "declared", "changed"]
        assert [*keyed] == [*KEYS, *more]
        assert keyed["next_run"] == mine.next_run.isoformat()
        assert (keyed["catch_up"], keyed["state"], keyed["declared"]) == ("one", "enabled", False)

    def test_says_why_one_cannot_fire(self, mine: Schedule) -> None:
        Schedule.objects.update(error="TaskNotFound: it is gone")
        assert "cannot fire: TaskNotFound: it is gone" in schedules()

    def test_of_a_label_that_there_is_not(self, mine: Schedule) -> None:
        _, sentence = refused(2, "mine", "nobody")
        assert sentence == "There is no schedule with the label 'nobody'."
        _, sentence = refused(2, "mien")
        assert sentence == "There is no schedule with the label 'mien'. Did you mean 'mine'?"

    def test_that_is_the_name_of_an_option(self, mine: Schedule) -> None:
        _, sentence = refused(2, "enable", "mine")
        assert sentence.endswith("the label 'enable'. Did you mean '--enable'?")


class TestPreview:
    def test_says_it_in_words_and_in_times(self, mine: Schedule) -> None:
        first, second, *times = schedules("--preview").splitlines()
        assert first == f"mine: {mine.in_words()}"
        assert second == f"  {HEAR}, enabled"
        assert len(times) == 10
        assert times[0] == f"  {mine.upcoming(1)[0]:%a %Y-%m-%d %H:%M:%S %Z}"

    def test_takes_a_number(self, mine: Schedule) -> None:
        [keyed] = json.loads(schedules("mine", "--json", "--preview", 3))
        assert keyed["upcoming"] == [planned.isoformat() for planned in mine.upcoming(3)]

    def test_of_a_bad_timetable(self, mine: Schedule) -> None:
        Schedule.objects.update(cron="nonsense", next_run=None)
        assert "is not a cron expression" in schedules("--preview")

    def test_refuses_what_is_no_number(self) -> None:
        with pytest.raises(CommandError, match="must be a positive integer"):
            schedules("--preview", "0")

    def test_refuses_what_would_take_for_ever(self) -> None:
        with pytest.raises(CommandError, match="must be at most 10000"):
            schedules("--preview", "99999999999999999999")


class TestActing:
    def test_disables_and_enables(self, mine: Schedule, other: Schedule) -> None:
        assert schedules("--disable", "mine", "other").splitlines() == [
            "mine: disabled.",
            "other: already disabled.",
        ]
        mine.refresh_from_db()
        assert (mine.enabled, mine.next_run) == (False, None)
        before = timezone.now()
        assert schedules("--enable", "mine") == "mine: enabled.\n"
        mine.refresh_from_db()
        assert mine.next_run > before

    def test_runs_now(self, mine: Schedule) -> None:
        said = schedules("--run-now", "mine")
        assert said == f"mine: enqueued as run {TaskRun.objects.get().id}.\n"

    def test_tells_programs(self, mine: Schedule) -> None:
        assert json.loads(schedules("--disable", "mine", "--json")) == [
            {"label": "mine", "verdict": "disabled", "reason": None}
        ]

    def test_says_what_it_could_not_do(self, mine: Schedule, other: Schedule) -> None:
        Schedule.objects.filter(label="mine").update(path="tests.schedules.shelf.gone")
        output, sentence = refused(1, "--run-now", "mine", "other")
        assert output.splitlines()[0].startswith("mine: not applicable.")
        assert output.splitlines()[1].startswith("other: enqueued as run ")
        assert sentence == "Not applicable to 1 of 2 schedules."
        assert TaskRun.objects.count() == 1

    def test_needs_labels(self) -> None:
        _, sentence = refused(2, "--disable")
        assert sentence == "--disable requires the labels of schedules."

    def test_does_one_thing_at_a_time(self, mine: Schedule) -> None:
        with pytest.raises(CommandError, match="not allowed with"):
            schedules("--disable", "--enable", "mine")
