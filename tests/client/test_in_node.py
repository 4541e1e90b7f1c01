"""The client's own tests in Node; the shipped file must be the one they test."""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

from tests.client.absent import skip_or_fail

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "js" / "taskworks.js"
SHIPPED = ROOT / "src" / "taskworks" / "static" / "taskworks" / "taskworks.js"


def test_the_shipped_file_is_the_source() -> None:
    assert SHIPPED.read_text() == SOURCE.read_text(), f"cp {SOURCE} {SHIPPED}"


def test_both_packages_have_one_version() -> None:
    package = json.loads((ROOT / "js" / "package.json").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (package["name"], package["version"]) == (project["name"], project["version"])


def test_the_client_in_node() -> None:
    node = shutil.which("node")
    if node is None:
        skip_or_fail("node is not on the PATH, so the browser client is not tested")
    tests = sorted(str(path) for path in (ROOT / "js" / "tests").glob("*.test.js"))
    command = [node, "--test", *tests]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
