"""What was seen of each fault, a line of JSON each, in the file that make faults names."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from tests.settings import DATABASE

if TYPE_CHECKING:  # it needs Django to be set up, and make faults only reads the name below
    from tests.faults.scene import Scene

VARIABLE = "TASKWORKS_FAULTS_REPORT"


def is_written() -> bool:
    """Whether what is seen goes into the table, and so is measured on a machine of its own."""
    return VARIABLE in os.environ


def add(item: pytest.Item, scene: "Scene", outcome: pytest.TestReport) -> None:
    marker = item.get_closest_marker("fault")
    if not is_written() or marker is None:
        return
    line = {
        "fault": marker.args[0],
        "database": DATABASE,
        "version": ".".join(map(str, connection.get_database_version())),
        "test": item.name,
        "kept": outcome.passed,
        "seen": scene.seen,
        "recovery": scene.recovery,
    }
    with Path(os.environ[VARIABLE]).open("a") as file:
        file.write(json.dumps(line) + "\n")
