from taskworks import wait_for

from shop.newsletter import write_to

results = write_to.enqueue_many([("Ada",), ("Blaise", "fr"), {"name": "Charles"}])

for result in wait_for(results, timeout=60):
    print(result.return_value)
