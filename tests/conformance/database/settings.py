"""Settings for Django's tests on our database backend; each test brings its TASKS itself."""

import os
from pathlib import Path

from tests.databases import database

SECRET_KEY = "conformance"
USE_TZ = True
DATABASES = {
    "default": database(
        os.environ.get("TASKWORKS_TEST_DATABASE", "sqlite"),
        Path(os.environ["TASKWORKS_TEST_FILES"]),
    )
}
# Not the database of the tests that may have started this process.
DATABASES["default"]["TEST"]["NAME"] += "_conformance"
INSTALLED_APPS = ["taskworks"]
