from shop.anthology import enqueue_anthology

result = enqueue_anthology("Two lines", ["to be or not to be", "that is the question"])
print(result.id, result.status)

result.wait(timeout=60)
print(result.status, result.result("publish"))
