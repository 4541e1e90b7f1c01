from django.contrib.auth.models import User
from taskworks.typed import TypedTask
from taskworks.typed.params import ModelParameter, StringParameter


class Welcome(TypedTask):
    inputs = {"user": ModelParameter(User.objects.filter(is_active=True))}
    outputs = {"letter": StringParameter()}

    async def run(self, user):
        return f"Dear {user.first_name or user.username}"
