from typing import Any

import pytest

from tests.processes.conftest import start_worker  # noqa: F401 - a fixture
from tests.stopping.settings import TASKWORKS


@pytest.fixture
def impatient(settings: Any) -> None:
    """Workers of this process lose patience soon."""
    settings.TASKWORKS = TASKWORKS
