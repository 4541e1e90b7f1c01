"""``manage.py taskworks pause | resume | clear | drain``, and what ``status`` says of a pause."""

import builtins
import getpass
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command

from taskworks import control
from taskworks.actions import pause_checks
from taskworks.models import Limit, Pause, TaskRun, Worker
from tests import limited, tasks  # noqa: F401 - it declares limits
from tests.behavior import database_now, rewrite
from tests.faces.conftest import MakeRun
from tests.faces.test_command_line import failing, taskworks, taskworks_json

pytestmark = pytest.mark.django_db

MAIL = "The queue 'mail' of the backend 'default'"
mail = tasks.noop.using(queue_name="mail")


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the user answers; and the questions that were asked."""
    questions: list[str] = []

    def give(text: str | type[Exception]) -> list[str]:
        def read(question: str) -> str:
            questions.append(question)
            if isinstance(text, str):
                return text
            raise text

        monkeypatch.setattr(builtins, "input", read)
        return questions

    return give


def test_pause_and_resume() -> None:
    said = taskworks("pause", "mail", "--reason", "no\nspace", "--by", "anna")
    assert said == f"{MAIL} is paused by anna: no\\nspace.\n"
    assert taskworks("resume", "mail") == f"{MAIL} is resumed.\n"
    assert taskworks("resume", "mail") == f"{MAIL} was not paused.\n"
    assert taskworks_json("resume", "mail") == {
        "backend": "default",
        "queue_name": "mail",
        "resumed": False,
    }


def test_pause_as_json_until_a_time() -> None:
    paused = taskworks_json("pause", "mail", "--backend", "other", "--until", "60")
    row = Pause.objects.get()
    assert paused == {
        "backend": "other",
        "queue_name": "mail",
        "until": row.until.isoformat(),
        "reason": "",
        "by": getpass.getuser(),
        "at": row.at.isoformat(),
    }
    assert timedelta(0) < row.until - row.at <= timedelta(minutes=1)


def test_who_has_no_name_pauses_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert taskworks("pause", "mail") == f"{MAIL} is paused.\n"


def test_pause_can_wait() -> None:
    busy = mail.enqueue()
    rewrite(busy, state="running")
    _, reason = failing(3, "pause", "mail", "--wait", "--timeout", "0")
    assert "workers still have runs of it after 0 s" in reason
    assert len(control.pauses()) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("pause", "mial"), "Did you mean 'mail'?"),
        (("pause", "mail", "--until", "-5"), "must be in the future, not -5 seconds from now."),
        (("pause", "mail", "--until", "2020-01-01T00:00Z"), "must be in the future"),
        (("pause", "mail", "--reason", "a\0"), "must not contain NUL"),
        (("pause", "mail", "--timeout", "5"), "--timeout requires --wait."),
        (("pause", ""), "must be 1 to 128 printable characters"),
        (("resume", "a\nb"), "must be 1 to 128 printable characters"),
        (("clear", "mial", "--no-input"), "Did you mean 'mail'?"),
        (("clear", "mial"), "Did you mean 'mail'?"),
        (("clear", "mail", "--json"), "--json requires --no-input"),
        (("drain", "mial"), "Did you mean 'mail'?"),
    ],
    ids=str,
)
def test_bad_input_does_nothing(arguments: tuple[str, ...], reason: str) -> None:
    mail.enqueue()
    printed, error = failing(2, *arguments)
    assert printed == ""
    assert reason in error
    assert not Pause.objects.exists()
    assert TaskRun.objects.get().state == "ready"


def test_clear_asks(answer: Any) -> None:
    for _ in range(2):
        mail.enqueue()
    for refusal in ("no", "", EOFError):
        questions = answer(refusal)
        _, reason = failing(1, "clear", "mail")
        assert reason == "Nothing was cancelled. Use --no-input in scripts."
    assert questions[0].startswith("2 runs of the queue 'mail' of the backend 'default' would be")
    assert TaskRun.objects.ready().count() == 2
    answer("yes")
    cancelled = "Cancelled 2 runs of the queue 'mail' of the backend 'default'.\n"
    assert taskworks("clear", "mail") == cancelled
    assert not TaskRun.objects.ready().exists()


def test_clear_without_a_question(answer: Any) -> None:
    mail.enqueue()
    questions = answer("no")
    cancelled = taskworks_json("clear", "mail", "--no-input")
    assert cancelled == {"backend": "default", "queue_name": "mail", "cancelled": 1}
    assert questions == []


def test_there_is_no_question_about_nothing(answer: Any) -> None:
    questions = answer("no")
    cancelled = "Cancelled 0 runs of the queue 'mail' of the backend 'default'.\n"
    assert taskworks("clear", "mail") == cancelled
    assert questions == []


def test_drain_says_at_once_that_the_queue_is_paused(capsys: pytest.CaptureFixture[str]) -> None:
    control.pause("mail", by="anna", reason="no\nspace")
    call_command("taskworks", "drain", "mail")
    said = capsys.readouterr().err
    assert said.startswith(f"{MAIL} is paused by anna: no")
    assert said.endswith("space. While it is, no worker begins its runs.\n")


def test_an_interrupted_drain_has_changed_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(control, "drain", interrupt)
    _, reason = failing(130, "drain", "mail")
    assert reason == "Stopped waiting for the queue. Nothing was changed."


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("The provider is down.", "paused by anna: The provider is down."),
        ("The provider is down", "paused by anna: The provider is down."),
        ("Why not?", "paused by anna: Why not?"),
        ("", "paused by anna."),
    ],
)
def test_a_pause_in_words_ends_a_sentence(reason: str, words: str) -> None:
    assert control.pause("mail", by="anna", reason=reason).in_words == words


def test_drain() -> None:
    assert taskworks("drain", "mail") == (
        "No run of the queue 'mail' of the backend 'default' is ready or in hand.\n"
    )
    assert taskworks_json("drain", "mail")["drained"] is True
    mail.enqueue()
    control.pause("mail", by="anna")
    _, reason = failing(3, "drain", "mail", "--timeout", "0")
    assert reason == f"{MAIL} has work after 0 s; resume it, because it is paused by anna."


def test_status_names_what_is_paused(worker: Worker) -> None:
    assert f"{worker.label}" in taskworks("status")
    control.pause("mail", until=timedelta(hours=1), by="anna", reason="no space")
    row = Pause.objects.get()
    until = f"{row.until:%Y-%m-%d %H:%M:%S %Z}"
    assert f"{MAIL} is paused until {until} by anna: no space.\n" in taskworks("status")
    assert taskworks_json("status")["pauses"] == [
        {
            "backend": "default",
            "queue_name": "mail",
            "until": row.until.isoformat(),
            "reason": "no space",
            "by": "anna",
            "at": row.at.isoformat(),
        }
    ]


def test_what_is_ready_in_a_paused_queue_needs_no_worker(make_run: MakeRun) -> None:
    make_run(task=mail)
    failing(4, "status")
    control.pause("mail", backend="other")
    failing(4, "status")
    control.pause("mail")
    assert taskworks_json("status")["unattended_queues"] == []
    make_run("running", task=mail)
    _, complaint = failing(4, "status")
    assert "'mail' (1)" in complaint


# Tasks, limits and keys.

NOOP = "tests.tasks.noop"


@pytest.fixture
def _imports() -> None:
    Limit.objects.create(name="imports")


@pytest.mark.usefixtures("_imports")
@pytest.mark.parametrize(
    ("named", "what", "as_json"),
    [
        (("--task", NOOP), f"task '{NOOP}'", {"task_path": NOOP}),
        (("--limit", "imports"), "limit 'imports'", {"limit_name": "imports"}),
        (
            ("--limit", "imports", "--key", "7"),
            "key '7' of the limit 'imports'",
            {"limit_name": "imports", "lane": "7"},
        ),
        (
            ("--limit", "imports", "--key", "(none)"),
            "key '(none)' of the limit 'imports'",
            {"limit_name": "imports", "lane": "(none)"},
        ),
    ],
    ids=str,
)
def test_others_are_paused_resumed_and_cleared(
    named: tuple[str, ...], what: str, as_json: dict[str, str]
) -> None:
    said = taskworks("pause", *named, "--until", "60", "--by", "anna", "--reason", "no space")
    paused = Pause.objects.get()
    assert said == f"The {what} is {paused.in_words}\n"
    assert f"The {what} is {paused.in_words}\n" in taskworks("status")
    [in_status] = taskworks_json("status")["pauses"]
    assert in_status.items() >= {**as_json, "by": "anna"}.items()
    assert taskworks_json("pause", *named).items() >= as_json.items()
    assert taskworks("resume", *named) == f"The {what} is resumed.\n"
    assert taskworks_json("resume", *named) == {**as_json, "resumed": False}
    assert taskworks_json("clear", *named, "--no-input") == {**as_json, "cancelled": 0}


def test_what_waits_of_a_task_is_cleared_if_the_answer_is_yes(answer: Any) -> None:
    mail.enqueue()
    questions = answer("yes")
    assert taskworks("clear", "--task", NOOP) == f"Cancelled 1 run of the task '{NOOP}'.\n"
    assert questions[0].startswith(f"1 run of the task '{NOOP}' would be cancelled, and none")


@pytest.mark.parametrize("command", ["pause", "resume", "clear"])
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "Name one of a queue, a task and a limit, not none of them."),
        (("mail", "--task", NOOP), "not queue and task."),
        (("mail", "--key", "a"), "A key is that of a limit"),
        (("--task", NOOP, "--backend", "default"), "A task is that of every backend"),
        (("--limit", "mailer", "--key", "a"), "has no keys"),
        (("--task", "a\0b"), "must be a task or its path"),
        (("--limit", "l" * 65), "must be 1 to 64 printable characters"),
    ],
    ids=str,
)
def test_bad_names_do_nothing(command: str, arguments: tuple[str, ...], reason: str) -> None:
    printed, error = failing(2, command, *arguments)
    assert printed == ""
    assert reason in error
    assert not Pause.objects.exists()


def test_what_is_not_there_is_not_paused() -> None:
    for named in (("--task", "tests.tasks.nop"), ("--limit", "intakes")):
        for command in (("pause",), ("clear", "--no-input")):
            _, error = failing(2, *command, *named)
            assert "Neither is there a run of it that waits or is executed." in error
    assert not Pause.objects.exists()


def test_checks_name_pauses_of_what_this_code_does_not_have() -> None:
    control.pause(task=tasks.noop)
    control.pause("mail")
    assert pause_checks.check_rows(databases=["default"]) == []
    assert pause_checks.check_rows(databases=None) == []
    Pause.objects.filter(kind="task").update(name="nowhere.tasks.gone")
    Pause.objects.filter(kind="queue").update(name="mial")
    Pause.objects.create(kind="queue", backend="gone", name="mail", at=database_now())
    Pause.objects.create(kind="limit", name="intakes", key="a", at=database_now())
    said = [warning.msg for warning in pause_checks.check_rows(databases=["default"])]
    for reason in (
        "The key 'a' of the limit 'intakes' is paused, but this code does not have it",
        "The queue 'mial' of the backend 'default' is paused, but",
        "TASKS has no backend 'gone'",
        "There is no task 'nowhere.tasks.gone': ModuleNotFoundError",
    ):
        assert any(reason in one for one in said), reason
    assert len(said) == 4
