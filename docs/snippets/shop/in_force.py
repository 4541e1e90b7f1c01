from shop.newsletter import write_to
from shop.rates import fetch_rate
from shop.tasks import count_words

for task in (count_words, write_to, fetch_rate):
    print(task.name, task.policy.timeout, task.policy.max_attempts)
