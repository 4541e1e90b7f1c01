from shop.payments import charge

result = charge.enqueue(7).wait(timeout=60)
print(result.status, len(result.errors))

result.retry()
print(result.status, len(result.errors))

result.wait(timeout=60)
print(result.status, len(result.errors))
