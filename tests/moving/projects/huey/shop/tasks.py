from huey import crontab
from huey.contrib.djhuey import db_periodic_task, db_task, lock_task, task

from shop.notes import note, notes


@task()
def count_words(text):
    words = len(text.split())
    note(f"{words} words")
    return words


@db_task(retries=2, retry_delay=0, priority=10)
def send_mail(address):
    note(f"to {address}")
    if notes().count(f"to {address}") == 1:
        raise ConnectionError("The mail server is busy.")
    return address


@db_task(context=True)
@lock_task("thanks")
def thank(address, words, task=None):
    note(f"thanks to {address} for {words} words")


@db_periodic_task(crontab(minute="0", hour="3"))
def clean_up():
    note("cleaned up")
