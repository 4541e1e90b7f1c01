"""The backends of these tests, for settings too: nothing else is imported here."""

from tests.settings import TASKS

SHARD = "queue"  # the alias in DATABASES
OF_THE_SHARD = {
    "BACKEND": "taskworks.backends.database.DatabaseBackend",
    "QUEUES": [],
    "OPTIONS": {"DATABASE": SHARD},
}
# Two backends may share a database, as ever.
SHARDED = {**TASKS, "bulk": OF_THE_SHARD, "more": OF_THE_SHARD}
