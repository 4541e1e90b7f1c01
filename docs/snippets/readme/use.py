from datetime import timedelta

from django.db import transaction

from readme.tasks import greet, import_prices

with transaction.atomic():
    result = import_prices.enqueue("prices.csv", currency="CHF")  # runs only if this commits

greet.using(run_after=timedelta(hours=1)).enqueue("Ada")

result.refresh()
if result.is_finished:
    print(result.status, result.return_value)
