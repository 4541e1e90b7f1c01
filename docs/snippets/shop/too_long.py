from shop.limits import count_up

result = count_up.enqueue().wait(timeout=60)
print(result.status, result.errors[0].exception_class_path)
