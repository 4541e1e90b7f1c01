from datetime import timedelta

from django.utils import timezone

from django_q.models import Schedule
from django_q.tasks import async_chain, async_task, result, schedule


def place_order(address, text):
    counted = async_task("shop.tasks.count_words", text)
    async_chain([("shop.tasks.send_mail", (address,)), ("shop.tasks.thank", (address,))])
    return counted


def plan():
    schedule(
        "shop.tasks.clean_up",
        name="nightly",
        schedule_type=Schedule.DAILY,
        next_run=timezone.now() + timedelta(days=1),
    )


def words_of(task_id):
    return result(task_id)
