from typing import Any

import pytest

from tests.dashboard.conftest import forget_everything, root, sign_in
from tests.shards.backends import SHARDED

__all__ = ["root", "sign_in"]


@pytest.fixture(autouse=True)
def _sharded(settings: Any) -> Any:
    settings.TASKS = SHARDED
    forget_everything()
    yield
    forget_everything()
