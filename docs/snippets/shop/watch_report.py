from shop.sales import enqueue_report

result = enqueue_report("2026-11-29", ["Berlin", "Paris"])
print(result.status)

result.wait(timeout=60)
print(result.status, result.counts(), result.result("report"))
