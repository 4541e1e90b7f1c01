from taskworks import AlreadyEnqueued, Unique

from shop.customers import sync_customer

only_one = sync_customer.using(unique=Unique("customer_id", on_conflict="refuse"))

only_one.enqueue(7)
try:
    only_one.enqueue(7)
except AlreadyEnqueued as error:
    print(error.result.kwargs or error.result.args)
