"""What the plugin of pytest offers to a project."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

PLUGIN = "taskworks.testing.plugin"


def observed(project: Path) -> dict[str, Any]:
    """Return the fixtures and the hooks, as pytest finds them in an empty project."""
    command = [sys.executable, "-m", "pytest", "-p", PLUGIN, "--fixtures", "--color=no"]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    listed = subprocess.run(
        command, cwd=project, env=alone, capture_output=True, text=True, check=True
    )
    module = Path(*PLUGIN.split("."))
    fixture = re.compile(rf"^(\w+)(?: \[(\w+) scope\])? -- .*{module}\.py:\d+$", re.MULTILINE)
    return {
        "fixtures": {name: scope or "function" for name, scope in fixture.findall(listed.stdout)},
        "hooks": sorted(name for name in vars(import_module(PLUGIN)) if name.startswith("pytest_")),
    }
