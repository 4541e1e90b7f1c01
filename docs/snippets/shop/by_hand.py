from datetime import timedelta

from django.utils import timezone
from taskworks.schedules import Schedule, task_with_callable

from shop.nightly import empty_carts

weekly = task_with_callable(
    empty_carts,
    label="empty old carts",
    schedule="@weekly",
    kwargs={"older_than_days": 90},
    end_running=timezone.now() + timedelta(days=365),
)
weekly.save()

for planned in weekly.upcoming(3):
    print(f"{planned:%a %H:%M}")

tomorrow = timezone.now() + timedelta(days=1)
Schedule.run_once(empty_carts, delay_until=tomorrow, label="empty carts tomorrow")

weekly.enabled = False
weekly.save()
