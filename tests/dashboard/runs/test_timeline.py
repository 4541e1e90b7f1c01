"""The phases of a run, from whatever its columns say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskworks.dashboard.runs.timeline import MAX_ATTEMPTS, WIDTH, timeline_of
from taskworks.models import RunState, TaskRun

pytestmark = pytest.mark.any_database

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
NOW = NOON + timedelta(hours=1)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def error(attempt: int, began: float | None, ended: float) -> dict[str, Any]:
    return {
        "attempt": attempt,
        "began": None if began is None else at(began).isoformat(),
        "at": at(ended).isoformat(),
        "worker_id": "w",
        "exception_class_path": "shop.bank.Refused",
        "traceback": "shop.bank.Refused\n",
    }


def a_run(state: RunState, **columns: Any) -> TaskRun:
    given = {"enqueued_at": NOON, "available_at": NOON, **columns}
    return TaskRun(task_path="shop.tasks.pay", backend="default", state=state, **given)


def phases(run: TaskRun, now: datetime = NOW) -> list[tuple[str, float, bool]]:
    return [
        (phase.kind.value, phase.took.total_seconds(), phase.until is None)
        for phase in timeline_of(run, now).phases
    ]


def test_a_run_that_was_retried_and_has_succeeded() -> None:
    run = a_run(
        RunState.SUCCESSFUL,
        run_after=at(10),
        attempts=2,
        errors=[error(1, 15, 16)],
        last_attempted_at=at(46),
        finished_at=at(50),
    )

    timeline = timeline_of(run, NOW)

    assert phases(run) == [
        ("held", 10, False),
        ("waiting", 5, False),
        ("failed", 1, False),
        ("retry", 30, False),
        ("successful", 4, False),
    ]
    assert timeline.took == timedelta(seconds=50)
    assert timeline.phases[2].label == "Attempt 1"
    assert timeline.phases[2].detail == "Refused"
    assert [moment.label for moment in timeline.moments] == [
        "Enqueued",
        "Not before",
        "Due",
        "Latest attempt",
        "Finished",
    ]
    ends = [phase.left + phase.width for phase in timeline.phases]
    assert ends == sorted(ends)
    assert ends[-1] == WIDTH


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (a_run(RunState.READY), [("waiting", 3600, True)]),
        (
            a_run(RunState.READY, available_at=at(600)),
            [("held", 600, False), ("waiting", 3000, True)],
        ),
        (a_run(RunState.SCHEDULED, available_at=at(7200)), [("held", 3600, True)]),
        (a_run(RunState.BLOCKED), [("held", 3600, True)]),
        (
            a_run(RunState.CLAIMED, claimed_at=at(3000)),
            [("waiting", 3000, False), ("claimed", 600, True)],
        ),
        (
            a_run(RunState.SCHEDULED, errors=[error(1, 5, 6)], last_attempted_at=at(5)),
            [("waiting", 5, False), ("failed", 1, False), ("retry", 3594, True)],
        ),
        (
            a_run(RunState.RUNNING, attempts=1, last_attempted_at=at(1800)),
            [("waiting", 1800, False), ("running", 1800, True)],
        ),
        # It was ended before any attempt.
        (
            a_run(RunState.CANCELLED, errors=[error(0, None, 60)], finished_at=at(60)),
            [("waiting", 60, False)],
        ),
    ],
)
def test_what_a_run_waits_for(run: TaskRun, expected: list[tuple[str, float, bool]]) -> None:
    assert phases(run) == expected


LOST = {"started_at": at(5), "last_attempted_at": at(5), "attempts": 1}


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        # Its worker was killed, and it was rescued a minute later.
        (
            a_run(RunState.READY, **LOST, available_at=at(65)),
            [("waiting", 5, False), ("retry", 60, False), ("waiting", 3535, True)],
        ),
        # Its worker was stopped, and it has kept its place.
        (a_run(RunState.READY, **LOST), [("waiting", 5, False), ("retry", 3595, True)]),
        (
            a_run(RunState.CLAIMED, **LOST, claimed_at=at(3000)),
            [("waiting", 5, False), ("retry", 2995, False), ("claimed", 600, True)],
        ),
        # It sleeps, or waits for an event.
        (
            a_run(RunState.SCHEDULED, **LOST, available_at=at(9000)),
            [("waiting", 5, False), ("retry", 3595, True)],
        ),
        (
            a_run(RunState.RUNNING, **{**LOST, "last_attempted_at": at(1800), "attempts": 2}),
            [("waiting", 5, False), ("retry", 1795, False), ("running", 1800, True)],
        ),
        (
            a_run(
                RunState.SUCCESSFUL,
                **{**LOST, "last_attempted_at": at(95), "attempts": 3},
                errors=[error(2, 65, 66)],
                finished_at=at(100),
            ),
            [
                ("waiting", 5, False),
                ("retry", 60, False),
                ("failed", 1, False),
                ("retry", 29, False),
                ("successful", 5, False),
            ],
        ),
        # It was lost again, after an attempt that failed.
        (
            a_run(
                RunState.READY,
                **{**LOST, "last_attempted_at": at(95), "attempts": 3},
                errors=[error(2, 65, 66)],
                available_at=at(155),
            ),
            [
                ("waiting", 5, False),
                ("retry", 60, False),
                ("failed", 1, False),
                ("retry", 29, False),
                ("retry", 60, False),
                ("waiting", 3445, True),
            ],
        ),
        (
            a_run(RunState.READY, **{**LOST, "last_attempted_at": at(1800), "attempts": 2}),
            [("waiting", 5, False), ("retry", 1795, False), ("retry", 1800, True)],
        ),
        (a_run(RunState.BLOCKED, **LOST), [("waiting", 5, False), ("retry", 3595, True)]),
        # It was cancelled while it waited for its next attempt.
        (
            a_run(RunState.CANCELLED, **LOST, errors=[error(1, None, 3000)], finished_at=at(3000)),
            [("waiting", 5, False), ("retry", 2995, False)],
        ),
    ],
)
def test_an_attempt_without_an_outcome_is_no_wait_for_a_worker(
    run: TaskRun, expected: list[tuple[str, float, bool]]
) -> None:
    assert phases(run) == expected
    labels = [phase.label for phase in timeline_of(run, NOW).phases]
    assert "Waits for its time" not in labels
    assert any(label.startswith("Attempt without an outcome, and ") for label in labels)


def test_no_attempt_is_awaited_of_a_run_that_has_ended() -> None:
    given_back = {**LOST, "errors": [error(1, None, 3000)], "finished_at": at(3000)}
    cancelled = timeline_of(a_run(RunState.CANCELLED, **given_back), NOW)
    again = timeline_of(a_run(RunState.READY, **LOST), NOW)
    assert cancelled.phases[-1].label == "Attempt without an outcome, and a wait"
    assert again.phases[-1].label == "Attempt without an outcome, and the wait for the next"


@pytest.mark.parametrize(
    "columns",
    [
        {"last_attempted_at": at(-50), "started_at": at(7000)},
        {"last_attempted_at": at(-50), "finished_at": at(-100)},
        {
            "enqueued_at": datetime.max.replace(tzinfo=UTC),
            "available_at": datetime.min.replace(tzinfo=UTC),
        },
        {"enqueued_at": None, "available_at": None, "run_after": datetime.min},
        {"errors": [error(1, 100, 50), error(2, -50, -100)], "attempts": 10**9},
        {"errors": [{**error(1, 1, 2), "began": "never"}, {**error(1, 1, 2), "began": 5}]},
    ],
)
@pytest.mark.parametrize("state", RunState)
def test_nonsense_makes_short_phases(state: RunState, columns: dict[str, Any]) -> None:
    for phase in timeline_of(a_run(state, **columns), NOW).phases:
        assert phase.took >= timedelta()
        assert 0 <= phase.left <= WIDTH
        assert 0 < phase.width <= WIDTH


def test_of_many_attempts_the_latest_are_shown() -> None:
    errors = [error(n, 2 * n, 2 * n + 1) for n in range(1, 1001)]

    timeline = timeline_of(a_run(RunState.FAILED, errors=errors, finished_at=at(2001)), NOW)

    assert timeline.earlier == 1000 - MAX_ATTEMPTS
    assert timeline.phases[-1].label == "Attempt 1000"
    assert len(timeline.phases) == 2 * MAX_ATTEMPTS
