from shop.anthology import enqueue_anthology

result = enqueue_anthology("", ["to be or not to be", "that is the question"])
result.wait(timeout=60)
print(result.status, result.counts())
