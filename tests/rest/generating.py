"""A client of the API that openapi-python-client generates."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.client.absent import skip_or_fail

# ruff, which it would call by its name, may not be on the PATH.
CONFIG = "post_hooks: []\n"


def generate(document: Any, folder: Path, package: str) -> None:
    """Write the package of a client of this document into the folder."""
    if find_spec("openapi_python_client") is None:
        skip_or_fail("openapi-python-client is not installed, so no client is generated")
    (folder / "document.json").write_text(json.dumps(document))
    (folder / "config.yml").write_text(CONFIG)
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"]
    places = ["--path", "document.json", "--config", "config.yml", "--output-path", package]
    done = subprocess.run(
        [*command, *places, "--meta", "none"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
