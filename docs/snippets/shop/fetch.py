from shop.rates import fetch_rate

result = fetch_rate.enqueue("CHF").wait(timeout=120)

print(result.status, result.return_value, result.attempts)
for error in result.errors:
    print(error.exception_class_path)
