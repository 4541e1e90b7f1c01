"""Nothing that users hold on to changes unnoticed: see ``recorded/``."""

from pathlib import Path

import pytest

from taskworks import control
from tests.surface import (
    announcements,
    command_line,
    configuration,
    kit,
    names,
    page,
    rest,
    stored,
    tables,
)
from tests.surface.record import assert_recorded

pytestmark = [pytest.mark.any_database, pytest.mark.django_db(transaction=True)]


def test_names_are_as_recorded() -> None:
    assert_recorded("names", names.observed())


def test_the_command_line_is_as_recorded() -> None:
    assert_recorded("command_line", command_line.observed())


def test_the_configuration_is_as_recorded() -> None:
    assert_recorded("configuration", configuration.observed())


def test_tables_are_as_recorded() -> None:
    assert_recorded("tables", tables.observed())


def test_signals_and_logs_are_as_recorded() -> None:
    assert_recorded("announcements", announcements.observed())


def test_the_rest_api_is_as_recorded() -> None:
    assert_recorded("rest", rest.observed())


def test_pages_are_as_recorded() -> None:
    assert_recorded("page", page.observed())


def test_the_plugin_of_pytest_is_as_recorded(tmp_path: Path) -> None:
    assert_recorded("kit", kit.observed(tmp_path))


def test_what_is_stored_is_as_recorded() -> None:
    assert_recorded("stored", stored.observed())


def test_the_type_of_an_end_is_found_where_it_was() -> None:
    from taskworks.control import Until

    assert Until == control.pausing.Until
