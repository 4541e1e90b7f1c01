from collections.abc import Iterator
from typing import Any

import pytest

from taskworks.timetables.declared import declarations
from tests.dashboard.conftest import forget_everything, root, sign_in
from tests.shards.backends import SHARDED

__all__ = ["root", "sign_in"]


@pytest.fixture(autouse=True)
def _sharded(settings: Any) -> Any:
    settings.TASKS = SHARDED
    forget_everything()
    yield
    forget_everything()


@pytest.fixture
def no_other_declarations() -> Iterator[None]:
    before = {**declarations}
    declarations.clear()
    yield
    declarations.clear()
    declarations.update(before)
