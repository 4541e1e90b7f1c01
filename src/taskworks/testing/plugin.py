"""
The kit as fixtures of pytest, which loads this module by itself. They need pytest-django, whose
``db`` they ask for; ``task_clock`` is back at the true time when its test has ended.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from taskworks.testing import Clock

# What is imported here costs every project, so the kit itself is imported where it is used.


@pytest.fixture
def run_tasks(db: None) -> Callable[..., Any]:
    """taskworks.testing.run_tasks, with access to the database."""
    from taskworks import testing

    return testing.run_tasks


@pytest.fixture
def enqueued(db: None) -> Callable[..., Any]:
    """taskworks.testing.enqueued, with access to the database."""
    from taskworks import testing

    return testing.enqueued


@pytest.fixture
def assert_enqueued(db: None) -> Callable[..., Any]:
    """taskworks.testing.assert_enqueued, with access to the database."""
    from taskworks import testing

    return testing.assert_enqueued


@pytest.fixture
def assert_not_enqueued(db: None) -> Callable[..., Any]:
    """taskworks.testing.assert_not_enqueued, with access to the database."""
    from taskworks import testing

    return testing.assert_not_enqueued


@pytest.fixture
def task_clock(db: None) -> "Iterator[Clock]":
    """A clock that can be moved: advance(hours=1), move_to(datetime)."""
    from taskworks import testing

    with testing.clock() as clock:
        yield clock
