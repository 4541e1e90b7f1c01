from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from taskworks import task


@task(delivery="at_most_once")
def say_goodbye(email: str) -> str:
    return f"a letter to {email}"


@task(transactional=True, timeout=4)
def close_account(user_id: int) -> None:
    user = User.objects.get(pk=user_id)
    user.is_active = False
    user.save()
    LogEntry.objects.create(user=user, action_flag=CHANGE, object_repr=user.username)
    say_goodbye.enqueue(user.email)
