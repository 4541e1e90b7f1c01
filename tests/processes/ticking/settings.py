"""Settings of a project that declares a schedule."""

from tests.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.processes.ticking"]  # noqa: F405
