import asyncio

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from taskworks import task


@task
async def find_salutation(user_id: int) -> str:
    user = await User.objects.aget(id=user_id)
    await sync_to_async(connections.close_all)()  # another function may connect now
    salutation = await ask_a_slow_service(user.username)
    await User.objects.filter(id=user_id).aupdate(first_name=salutation)
    return salutation


async def ask_a_slow_service(name: str) -> str:
    await asyncio.sleep(0.1)
    return f"Dear {name}"
