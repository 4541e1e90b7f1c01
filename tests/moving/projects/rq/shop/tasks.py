from rq import Retry, get_current_job

from django_rq import job

from shop.notes import note, notes


@job
def count_words(text):
    words = len(text.split())
    note(f"{words} words")
    return words


@job("mail", timeout=60, retry=Retry(max=2))
def send_mail(address):
    note(f"to {address}")
    if notes().count(f"to {address}") == 1:
        raise ConnectionError("The mail server is busy.")
    return address


@job("mail")
def thank(address, *, words):
    job = get_current_job()
    job.meta["words"] = words
    job.save_meta()
    note(f"thanks to {address}")
