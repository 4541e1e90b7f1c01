"""The example's API in an OpenAPI document, for which a project needs no setting of ours."""

import subprocess
import sys

import pytest

from tests.example.conftest import EXAMPLE

DOCUMENT = """
import django
django.setup()
from django.core.management import call_command
from drf_spectacular.management.commands.spectacular import Command
from drf_spectacular.settings import patched_settings
with patched_settings({"OAS_VERSION": "%s"}):
    call_command(Command(), validate=True, fail_on_warn=True)
"""


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_it_is_valid_without_a_warning(environ, version):
    done = subprocess.run(
        [sys.executable, "-c", DOCUMENT % version],
        env=environ,
        cwd=EXAMPLE,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"openapi: {version}" in done.stdout
    assert "TaskworksStartLongestFunctions:" in done.stdout
