"""What does not depend on the database runs once, with SQLite."""

from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(__file__).parent
# A test elsewhere says so by the marker `any_database`.
FOLDERS = [ROOT / "example", ROOT / "framework", ROOT / "unit"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if settings.DATABASE == "sqlite":
        return
    once = [item for item in items if _is_for_any_database(item)]
    config.hook.pytest_deselected(items=once)
    items[:] = [item for item in items if item not in once]


def _is_for_any_database(item: pytest.Item) -> bool:
    marked = item.get_closest_marker("any_database") is not None
    return marked or any(folder in item.path.parents for folder in FOLDERS)
