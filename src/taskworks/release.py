"""Which release of the project this process runs, and which version of Taskworks."""

import os
from functools import cache
from importlib import metadata

from taskworks.conf import conf
from taskworks.jsonvalue import printable

# Those that platforms and error trackers set, in this order.
VARIABLES = (
    "SENTRY_RELEASE",
    "GIT_SHA",
    "GIT_COMMIT",
    "HEROKU_SLUG_COMMIT",
    "RENDER_GIT_COMMIT",
    "RAILWAY_GIT_COMMIT_SHA",
)
MAX_LENGTH = 200  # characters


def release() -> str:
    """
    Return ``TASKWORKS["RELEASE"]``, else the first of the environment's ``VARIABLES`` that is set,
    in one line of up to 200 characters; "" if nothing says it.
    """
    said = [conf().release, *(os.environ.get(name, "") for name in VARIABLES)]
    return next((cleaned for one in said if (cleaned := _cleaned(one))), "")


def _cleaned(text: str) -> str:
    return " ".join(printable(text).split())[:MAX_LENGTH]


@cache
def version() -> str:
    """Return the version of Taskworks; "" if it was not installed, but put on the path."""
    try:
        return metadata.version("django-taskworks")[:32]
    except metadata.PackageNotFoundError:
        return ""
