import time

from shop.payments import charge

result = charge.enqueue(7)

while not result.is_finished:
    time.sleep(0.1)
    result.refresh()

print(result.status)
print(result.errors[0].exception_class_path)
print(result.errors[0].traceback)
