"""The scene of each test: it tells its timeline if the test fails, and the report what was seen."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import is_named
from tests.faults import report
from tests.faults.catalogue import CATALOGUE
from tests.faults.ledger import Ledger
from tests.faults.scene import Scene
from tests.settings import DATABASE

_scene = pytest.StashKey[Scene]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the faults that this database cannot have, and those that are not for CI."""
    left_out = [item for item in items if _is_left_out(config, item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_left_out(config: pytest.Config, item: pytest.Item) -> bool:
    marker = item.get_closest_marker("fault")
    if marker is None:
        return False
    fault = CATALOGUE[marker.args[0]]
    if DATABASE.replace("mysql", "mariadb") not in fault.databases:
        return True
    if fault.asked_for_by:
        return fault.asked_for_by not in os.environ
    return not (fault.in_ci or is_named(config, item.path))


@pytest.fixture
def scene(
    transactional_db: None, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    scene = Scene(tmp_path, Ledger(tmp_path / "ledger"))
    request.node.stash[_scene] = scene
    yield scene
    scene.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[Any]:
    """While the scene is still there."""
    outcome = yield
    scene = item.stash.get(_scene, None)
    if scene is not None and call.when == "call":
        if outcome.failed:
            outcome.sections.append(("timeline", scene.timeline()))
        report.add(item, scene, outcome)
    return outcome
