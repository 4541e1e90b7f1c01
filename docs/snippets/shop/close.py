from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User

from shop.accounts import close_account

ada = User.objects.create_user("ada", email="ada@example.com")
result = close_account.enqueue(ada.pk).wait(timeout=60)

print(result.status, LogEntry.objects.count())
