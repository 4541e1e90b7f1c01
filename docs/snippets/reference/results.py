from shop.tasks import count_words
from taskworks import TaskResultStatus, default_task_backend

result = count_words.enqueue("one two three")

# Elsewhere, with only the id:
same = count_words.get_result(result.id)
if same.status == TaskResultStatus.READY:
    print("It waits.")

# Without knowing which task it is:
print(default_task_backend.get_result(result.id).task.name)
