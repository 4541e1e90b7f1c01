from datetime import timedelta

import django_rq

from shop.tasks import count_words, send_mail, thank


def place_order(address, text):
    counted = count_words.delay(text)
    django_rq.get_queue("mail").enqueue_call(thank, (address,), {"words": 3}, depends_on=counted)
    send_mail.delay(address)
    django_rq.get_queue("mail").enqueue_in(timedelta(days=7), send_mail, address)
    return counted.id


def words_of(job_id):
    job = django_rq.get_queue().fetch_job(job_id)
    return job.return_value() if job.is_finished else None
