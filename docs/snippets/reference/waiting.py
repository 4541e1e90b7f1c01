from shop.tasks import count_words
from taskworks import wait_for

result = count_words.enqueue("one two three").wait(timeout=60)
print(result.return_value)

results = [count_words.enqueue(text) for text in ("one", "one two")]
print([result.return_value for result in wait_for(results, timeout=60)])
