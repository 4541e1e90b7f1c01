"""What a process declares that has this app installed."""

from taskworks import task
from taskworks.schedules import cron


@cron("@daily", label="of the shard", backend="bulk")
@task
def each_day() -> None:
    return None
