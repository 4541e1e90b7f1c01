"""A log that raises stops nobody, and says where it was written."""

import logging
from collections.abc import Iterator
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
