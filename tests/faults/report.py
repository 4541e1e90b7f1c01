"""What was seen of each fault, a line of JSON each, in the file that make faults names."""

import json
import os
from pathlib import Path

import pytest
from django.db import connection

from tests.faults.scene import Scene
from tests.settings import DATABASE

VARIABLE = "TASKWORKS_FAULTS_REPORT"


def add(item: pytest.Item, scene: Scene, outcome: pytest.TestReport) -> None:
    marker = item.get_closest_marker("fault")
    if VARIABLE not in os.environ or marker is None:
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
