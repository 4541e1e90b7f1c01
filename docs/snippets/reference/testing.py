from shop.payments import charge
from shop.tasks import count_words
from taskworks.testing import assert_enqueued, enqueued, run_tasks

charge.enqueue(7)
count_words.using(priority=5).enqueue("one two")

print([result.task.name for result in enqueued()])
try:
    assert_enqueued(count_words, args=["one"])
except AssertionError as error:
    print(error)

for result in run_tasks(raise_failures=False):
    print(result.task.name, result.status)
