from datetime import timedelta

from huey.contrib.djhuey import HUEY as huey

from shop.tasks import count_words, send_mail, thank


def place_order(address, text):
    counted = count_words.s(text)
    huey.enqueue(counted.then(thank, address))
    send_mail(address)
    send_mail.schedule((address,), delay=timedelta(days=7))
    return counted.id


def words_of(task_id):
    return huey.result(task_id, preserve=True)
