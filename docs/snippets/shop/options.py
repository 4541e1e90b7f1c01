from datetime import timedelta

from shop.tasks import count_words

count_words.using(priority=50).enqueue("goes before the others")
count_words.using(queue_name="mail").enqueue("waits in another queue")
count_words.using(run_after=timedelta(minutes=10)).enqueue("waits ten minutes")
