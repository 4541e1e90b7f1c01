from datetime import timedelta

from taskworks import control
from taskworks.models import FailureGroup

for group in FailureGroup.objects.unmuted().filter(task_path="shop.payments.charge"):
    done = control.retry_failures(group.fingerprint, within=timedelta(hours=12))
    print(group.task_path, group.count, done.retried)
