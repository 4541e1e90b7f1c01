import time

from shop.tasks import count_words

result = count_words.enqueue("to be or not to be")
print(result.id, result.status)

while not result.is_finished:
    time.sleep(0.1)
    result.refresh()

print(result.status, result.return_value)
