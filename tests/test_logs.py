"""A log that raises stops nobody, and says where it was written."""

import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from taskworks.logs import steady_logger


class OfRequests(logging.Filter):
    """As projects have them, who think of their views alone."""

    def filter(self, record: Any) -> bool:
        return bool(record.request)


@pytest.fixture
def odd_handler() -> Iterator[None]:
    handler = logging.StreamHandler()
    handler.addFilter(OfRequests())
    log = logging.getLogger("taskworks.of_a_test")
    log.addHandler(handler)
    yield
    log.removeHandler(handler)


@pytest.mark.usefixtures("odd_handler")
def test_what_cannot_be_logged_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    steady_logger("taskworks.of_a_test").warning("It rains on %s.", "Monday")
    said = capsys.readouterr().err
    assert said.startswith("It rains on Monday. (This cannot be logged.)\nTraceback ")
    assert "AttributeError: " in said


@pytest.mark.usefixtures("odd_handler")
def test_what_is_handled_goes_there_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("a flood")
    except ValueError:
        steady_logger("taskworks.of_a_test").exception("It pours.")
    assert "ValueError: a flood" in capsys.readouterr().err


def test_a_line_names_the_place_that_wrote_it(caplog: pytest.LogCaptureFixture) -> None:
    logger = steady_logger("taskworks.of_a_test")
    logger.warning("It rains on %s.", "Monday")
    try:
        raise ValueError("a flood")
    except ValueError:
        logger.exception("It pours.")
    rain, flood = caplog.records
    assert (rain.getMessage(), rain.name) == ("It rains on Monday.", "taskworks.of_a_test")
    assert {record.pathname for record in caplog.records} == {__file__}
    assert flood.exc_info
    assert flood.exc_info[0] is ValueError


FORGED = "fine.\nRun 5 of shop.pay: successful\x1b[2K\r\x9b31m\u2028"


@pytest.mark.parametrize("given", [FORGED, ValueError(FORGED), [FORGED], {"a": FORGED}])
def test_what_others_write_stays_in_its_line(
    given: object, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    log = logging.getLogger("taskworks.of_a_test")
    log.addHandler(handler)
    try:
        steady_logger("taskworks.of_a_test").warning("It said %s on %d.", given, 5)
    finally:
        log.removeHandler(handler)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()
    assert "fine.\\n" in said


def test_a_traceback_keeps_its_lines_alone(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("red \x1b[31m")
    except ValueError:
        steady_logger("taskworks.of_a_test").exception("It pours.")
    assert "\nValueError: red \\x1b[31m" in caplog.text
    assert "\x1b" not in caplog.text


def test_what_is_plain_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    error, moment = ValueError("ünfair"), datetime(2026, 1, 1, tzinfo=UTC)
    steady_logger("taskworks.of_a_test").warning("%s %s %s", error, moment, None)
    assert caplog.records[0].args == (error, moment, None)


def test_a_line_has_the_extras_that_it_was_given(caplog: pytest.LogCaptureFixture) -> None:
    steady_logger("taskworks.tests").warning("A run.", extra={"task_id": "7"})
    [line] = caplog.records
    assert line.task_id == "7"  # type: ignore[attr-defined]
