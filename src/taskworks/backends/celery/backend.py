"""The backend: a ``DatabaseBackend`` whose runs are for the workers of a Celery app."""

from taskworks.backends.celery.options import KEYS
from taskworks.backends.database import DatabaseBackend


class CeleryBackend(DatabaseBackend):
    """
    Stores runs as ``DatabaseBackend`` does, for the workers of a Celery app. They claim them from
    the database; a message through the broker only says that there is something, and if it is lost,
    they find it a second later.
    """

    keys_of_options = KEYS
