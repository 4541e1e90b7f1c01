"""The admin's pages with the themes that many projects have: they work, and can be read."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.chromium import programs
from tests.client.absent import skip_or_fail

pytestmark = [pytest.mark.any_database, pytest.mark.not_every_day, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("theme", ["unfold", "jazzmin"])
def test_pages_work_and_are_readable_in_a_theme(theme: str) -> None:
    if sys.version_info >= (3, 12):
        pytest.skip("Their packages are installed with the first Python of the matrix alone.")
    if find_spec(theme) is None:
        skip_or_fail(f"the package django-{theme}")
    if not programs():
        skip_or_fail("chromium and chromedriver")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.faces.themes.settings",
        "TASKWORKS_TEST_THEME": theme,
        "TASKWORKS_TEST_DATABASE": "sqlite",
        "TASKWORKS_TEST_PREFIX": f"theme_{os.getpid()}",
        "TASKWORKS_TEST_PART": "1/1",
    }
    tests = "tests/faces/themes/in_a_theme.py"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--create-db", "-p", "no:cacheprovider", tests],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-5000:]
    assert "2 passed" in ended.stdout
