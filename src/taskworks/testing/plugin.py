"""
The test kit as fixtures for pytest, which loads this module automatically. They need
pytest-django, for its fixture ``db``. ``task_clock`` is restored after each test.
"""

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from taskworks.testing import Clock

# The kit is imported where it is used, to keep the start of pytest fast in every project.


@pytest.fixture(scope="session", autouse=True)
def _python_s_clock() -> None:
    """Let Python's clock decide before the first test enqueues anything."""
    if "taskworks.models" in sys.modules:
        from taskworks import testing

        testing.use_python_s_clock()


@pytest.fixture
def run_tasks(db: None) -> Callable[..., Any]:
    """``taskworks.testing.run_tasks``, with access to the database."""
    from taskworks import testing

    return testing.run_tasks


@pytest.fixture
def enqueued(db: None) -> Callable[..., Any]:
    """``taskworks.testing.enqueued``, with access to the database."""
    from taskworks import testing

    return testing.enqueued


@pytest.fixture
def assert_enqueued(db: None) -> Callable[..., Any]:
    """``taskworks.testing.assert_enqueued``, with access to the database."""
    from taskworks import testing

    return testing.assert_enqueued


@pytest.fixture
def assert_not_enqueued(db: None) -> Callable[..., Any]:
    """``taskworks.testing.assert_not_enqueued``, with access to the database."""
    from taskworks import testing

    return testing.assert_not_enqueued


@pytest.fixture
def task_clock(db: None) -> "Iterator[Clock]":
    """A clock that can be moved, with ``advance(hours=1)`` and ``move_to(datetime)``."""
    from taskworks import testing

    with testing.clock() as clock:
        yield clock
