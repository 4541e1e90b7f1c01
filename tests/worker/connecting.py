"""Tasks that use the database, and wait for something while they have connections."""

import asyncio
from contextlib import closing
from pathlib import Path

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections

from taskworks import TaskContext, task
from taskworks.models import TaskRun
from tests.limited_user import LimitedUser, connection_of


@task(takes_context=True)
async def meet(context: TaskContext, folder: str, parties: int) -> None:
    """Until so many have been here, each of which has a connection at that moment."""
    await TaskRun.objects.acount()
    (Path(folder) / context.task_result.id).touch()
    while len([*Path(folder).iterdir()]) < parties:
        await asyncio.sleep(0.01)
    await TaskRun.objects.acount()


@task
async def count() -> int:
    return await TaskRun.objects.acount()


@task
async def hold(path: str, *, closes: bool = False) -> None:
    """Until there is a file; another one says that it holds."""
    await TaskRun.objects.acount()
    if closes:
        await sync_to_async(connections.close_all)()
    Path(f"{path}.held").touch()
    while not Path(path).exists():
        await asyncio.sleep(0.01)


@task
async def count_everywhere() -> int:
    """In two databases, in turn and at the same time, and in calls within calls."""
    here = await TaskRun.objects.acount()
    both = await asyncio.gather(TaskRun.objects.using("queue").acount(), TaskRun.objects.acount())
    within = await sync_to_async(async_to_sync(count.func))()
    return here + sum(both) + within


@task
async def count_in_another_run() -> int:
    await TaskRun.objects.acount()
    result = await count.aenqueue()
    return (await result.await_()).return_value


@task
def query_as(user: str, password: str) -> str:
    """In a connection of that user."""
    with closing(connection_of(LimitedUser(user, password))) as theirs:
        theirs.ensure_connection()
    return "done"


@task
async def query_as_async(user: str, password: str) -> str:
    """The same, in a task of asyncio, so that what is raised comes in a group."""
    async with asyncio.TaskGroup() as group:
        query = group.create_task(sync_to_async(query_as.func)(user, password))
    return query.result()
