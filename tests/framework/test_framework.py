"""The one door to the standard gives Django's own objects, or else the backport's."""

import subprocess
import sys
from importlib import import_module

import django
import pytest

from taskworks import framework

STANDARD = "django.tasks" if django.VERSION >= (6, 0) else "taskworks.framework.backport"
MODULES = ["base", "checks", "exceptions", "signals"]
MODULES += ["backends.base", "backends.dummy", "backends.immediate"]


def test_names_are_the_standards_objects() -> None:
    modules = [import_module(STANDARD)] + [import_module(f"{STANDARD}.{name}") for name in MODULES]
    for name in set(framework.__all__) - {"LOGGER_NAME"}:
        objects = [getattr(module, name) for module in modules if hasattr(module, name)]
        assert objects, name
        assert all(getattr(framework, name) is thing for thing in objects), name


def test_logger_is_the_standards() -> None:
    assert import_module(f"{STANDARD}.signals").logger.name == framework.LOGGER_NAME


@pytest.mark.parametrize("name", ["taskworks.framework", "taskworks.framework.backport"])
def test_import_needs_no_settings(name: str) -> None:
    code = (
        f"import {name}, sys\n"
        "from django.apps import apps\n"
        "from django.conf import settings\n"
        "sys.exit(settings.configured or apps.apps_ready)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
