"""For processes that have ten minutes to leave, and three seconds for what still runs."""

from tests.stopping.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.stopping.leisurely"]  # noqa: F405
