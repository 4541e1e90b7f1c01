from shop.tasks import count_words
from taskworks.exceptions import InvalidTask, TaskResultDoesNotExist

try:
    count_words.using(queue_name="nowhere").enqueue("one two")
except InvalidTask as error:
    print(error)

try:
    count_words.get_result("nothing")
except TaskResultDoesNotExist as error:
    print("No run has the id", error)
