from django.contrib.auth.models import User
from django_tenants.utils import schema_context
from taskworks import task


@task
def count_users(schema_name: str) -> int:
    with schema_context(schema_name):
        return User.objects.count()
