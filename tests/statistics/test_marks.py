"""New releases are marked once each; people mark what they like."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from taskworks.models import Mark
from taskworks.release import VARIABLES
from taskworks.statistics.marks import forget_marks, mark, mark_release, marks
from taskworks.store import Store
from tests.behavior import run_worker
from tests.connections import begin_elsewhere


@pytest.fixture(autouse=True)
def _no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def release(settings: Any, name: str) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "RELEASE": name}


def test_the_first_worker_of_a_release_marks_it(store: Store, settings: Any) -> None:
    run_worker()
    assert marks(store, timedelta(hours=1)) == []
    for name in ("v1", "v2", "v1", "v2"):  # two at once
        release(settings, name)
        run_worker()
    assert [str(one) for one in marks(store, timedelta(hours=1))] == ["v1", "v2"]


def test_of_many_that_start_at_once_one_marks_it(store: Store, settings: Any) -> None:
    release(settings, 'it\'s "v3"')
    for one in [begin_elsewhere(lambda: mark_release(store)) for _ in range(5)]:
        one.result(timeout=60)
    assert Mark.objects.get().release == 'it\'s "v3"'


def test_a_person_marks_what_he_likes(store: Store) -> None:
    def taskworks(*arguments: str) -> str:
        output = StringIO()
        call_command("taskworks", "mark", *arguments, stdout=output)
        return output.getvalue()

    assert taskworks("new\nbank").startswith("Marked 'new bank' at 2")
    assert json.loads(taskworks("new bank", "--json"))["label"] == "new bank"
    assert Mark.objects.count() == 2
    for bad in ("", " \n", "x" * 201):
        with pytest.raises(CommandError, match="A mark needs a label of 1 to 200") as error:
            taskworks(bad)
        assert error.value.returncode == 2


def test_marks_go_with_the_longest_periods(store: Store) -> None:
    mark(store, "old")
    Mark.objects.update(at=store.read_clock() - timedelta(days=401))
    mark(store, "new")
    forget_marks(store)
    assert [str(one) for one in Mark.objects.all()] == ["new"]
