"""The settings of a process of these tests, whose databases are those of the test."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES
from tests.shards.backends import SHARD, SHARDED

TASKS = SHARDED
if name := os.environ.get("TASKWORKS_TEST_SHARD_NAME"):
    DATABASES[SHARD] |= {"NAME": name}
if port := os.environ.get("TASKWORKS_TEST_SHARD_PORT"):
    DATABASES[SHARD] |= {"PORT": port, "NAME": "/nowhere/at/all.sqlite3"}
