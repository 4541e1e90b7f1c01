from asgiref.sync import sync_to_async
from django.db import transaction

from accounts.async_views import SignUp


class SignUpAtOnce(SignUp):
    async def perform_acreate(self, serializer):
        await sync_to_async(self.save)(serializer)

    @transaction.atomic
    def save(self, serializer):
        self.run_tasks(serializer.save())
