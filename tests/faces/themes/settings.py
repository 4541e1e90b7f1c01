"""A site whose admin has the theme that the environment names."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [os.environ["TASKWORKS_TEST_THEME"], *INSTALLED_APPS, "django.contrib.staticfiles"]
ROOT_URLCONF = "tests.dashboard.urls"
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
