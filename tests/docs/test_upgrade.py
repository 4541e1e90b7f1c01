"""What the page on upgrades says of the rows of runs."""

from datetime import timedelta
from pathlib import Path

from django.core.management import call_command
from django.utils.module_loading import import_string

from taskworks import default_task_backend
from taskworks.models import Edge, Schedule, TaskRun
from tests.docs.conftest import only, with_database, work


@with_database
def test_rows_are_saved_and_loaded() -> None:
    count_words = import_string("shop.tasks.count_words")
    first = count_words.using(run_after=timedelta(hours=1), metadata={"a": [1]}).enqueue("été")
    default_task_backend.enqueue_after(count_words, ["two"], {}, after=first)
    import_string("shop.payments.charge").enqueue(7)
    work()
    Schedule.objects.create(label="hourly", path="shop.tasks.count_words", interval=3600, args=[""])
    save("runs.json")
    for model in (Edge, Schedule, TaskRun):
        assert model.objects.all().delete()[0]
    call_command("loaddata", Path("runs.json").resolve(), verbosity=0)
    save("again.json")
    assert saved("again.json") == saved("runs.json")
    assert [run.state for run in TaskRun.objects.order_by("id")] == [
        "scheduled",
        "blocked",
        "failed",
    ]


def save(file: str) -> None:
    call_command("dumpdata", "taskworks", exclude=["taskworks.worker"], output=file, verbosity=0)


def saved(file: str) -> str:
    """Without milliseconds that are 0: they are saved of a time with microseconds alone."""
    return Path(file).read_text().replace(".000Z", "Z")


@with_database
def test_a_task_is_found_at_its_old_path() -> None:
    import_string("shop.tasks.count_words").enqueue("one two")
    TaskRun.objects.update(task_path="shop.orders.count_words")  # which imports it
    work()
    assert only("shop.orders.count_words").return_value == 2
