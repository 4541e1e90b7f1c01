from shop.customers import sync_customer

first = sync_customer.enqueue(7, reason="signed up")
second = sync_customer.enqueue(7, reason="changed the address")
other = sync_customer.enqueue(8)

print(first.is_new, second.is_new, other.is_new)
print(second.id == first.id)
