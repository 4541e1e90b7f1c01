from shop.exports import export_orders

result = export_orders.enqueue("orders.txt", 10**12)
print(result.cancel())

result.wait(timeout=60)
print(result.status, result.is_cancelled, result.errors[-1].exception_class_path)
