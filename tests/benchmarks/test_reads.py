"""What is complained of when reads are measured, and what excuses what."""

import pytest

from benchmarks import cold_commands
from benchmarks.asked import Asked, Statement
from benchmarks.reads import LONGEST_STATEMENT, Line

pytestmark = pytest.mark.any_database


def statement(sql: str, seconds: float, *, is_given_up: bool = False) -> Statement:
    made = Statement(sql)
    made.seconds, made.is_given_up = seconds, is_given_up
    return made


def complaints(*statements: Statement) -> list[str]:
    asked = Asked([*statements])
    slowest = asked.slowest
    line = Line("runs", [0.1], [0.1], slowest.seconds, slowest.sql, 1, None, asked.given_up)
    return line.complaints


def test_a_statement_that_was_given_up_excuses_no_other_one() -> None:
    slow = 2 * LONGEST_STATEMENT
    assert complaints(statement("given up", 2 * slow, is_given_up=True)) == []
    [complaint] = complaints(
        statement("given up", 2 * slow, is_given_up=True), statement("slow", slow)
    )
    assert complaint.endswith(": slow")


def test_a_command_that_has_not_read_is_no_measurement() -> None:
    with pytest.raises(SystemExit, match="taskworks lsit ended with 2"):
        cold_commands._call(["lsit"])


@pytest.mark.parametrize(
    ("words", "code", "is_refused"),
    [
        (["health"], 2, False),
        (["health", "--quick"], 1, False),
        (["health"], 3, True),
        (["status"], 4, False),
        (["list"], 1, True),
        (["list"], None, False),
        (["list"], 0, False),
    ],
)
def test_which_exit_codes_a_command_may_have(
    words: list[str], code: int | None, is_refused: bool
) -> None:
    assert cold_commands._is_refused(words, code) is is_refused
