"""On which channel of Redis the workers of a database are woken."""

from hashlib import blake2s

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from taskworks.database.connections import own_connections

PREFIX = "taskworks"

_known: dict[tuple[str, str], str] = {}


def channel_of(alias: str) -> str:
    """
    Return the channel for this database. Projects may share a Redis, and the processes of one may
    reach its database by different addresses, or through a pooler: so the database itself says
    which one it is, by the moment at which its tables were made. It is asked once a process, in a
    thread whose connections are closed then: not in one of the project's.
    """
    key = (alias, str(connections[alias].settings_dict["NAME"]))
    if key not in _known:
        with own_connections(alias):
            _known[key] = f"{PREFIX}:{identity(alias)}"
    return _known[key]


def identity(alias: str) -> str:
    """Return what tells this database from others, as it says through this thread's connection."""
    applied = MigrationRecorder(connections[alias]).migration_qs.filter(app="taskworks")
    first = applied.order_by("id").values_list("id", "applied").first()
    # Without migrations, as in some tests.
    said = first or connections[alias].settings_dict["NAME"]
    return blake2s(str(said).encode(), digest_size=8).hexdigest()
