from datetime import timedelta

from taskworks import TaskContext, task
from taskworks.schedules import cron, every


@cron("0 3 * * *", timezone="Europe/Berlin", overlap="skip")
@task
def empty_carts(older_than_days: int = 30) -> str:
    return f"emptied carts older than {older_than_days} days"


@cron("*/5 9-17 * * mon-fri", label="look for orders, by day")
@every(minutes=30, label="look for orders, at any time", args=["slowly"])
@task(takes_context=True)
def look_for_orders(context: TaskContext, how: str = "eagerly") -> str:
    return f"{how}, for {context.scheduled_for}"


@every(timedelta(hours=1), catch_up="skip", jitter=60, queue_name="mail", timeout=30)
@task
def send_digests() -> None: ...
