"""Tasks and callables that are fired."""

from typing import Any

from django.db import connection

from taskworks import Retry, TaskContext, task

heard: list[dict[str, Any]] = []
was_in_transaction: list[bool] = []


@task(takes_context=True)
def ring(context: TaskContext, times: int = 1) -> list[Any]:
    """When, and for which schedule."""
    planned = context.scheduled_for
    return [planned and planned.isoformat(), context.schedule_label, times]


@task
def noop() -> None:
    return None


@task
def break_transaction() -> None:
    """If it is executed in one."""
    was_in_transaction.append(connection.in_atomic_block)
    connection.cursor().execute("SELECT nothing FROM nowhere")


@task
def fail() -> None:
    raise ValueError("as it is to")


@task(max_attempts=2, backoff=0, takes_context=True)
def forget(context: TaskContext) -> Any:
    """Saves metadata without its schedule's, and is retried."""
    if context.attempt == 1:
        context.metadata.clear()
        context.save_metadata()
        raise Retry("once more", after=0)
    return context.scheduled_for and context.scheduled_for.isoformat()


def hear(message: dict[str, Any]) -> object:
    heard.append(message)
    message["task"].userdata = {**message["task"].userdata, "heard": len(heard)}
    return object()  # which is not JSON, and nobody reads it


def change_in_place(message: dict[str, Any]) -> None:
    message["task"].userdata["changed"] = True


def say_no(message: dict[str, Any]) -> None:
    message["task"].userdata = {"lost": True}
    raise ValueError("no")


def be_the_last(message: dict[str, Any]) -> None:
    message["task"].userdata = {"done": True}
    type(message["task"]).objects.filter(pk=message["task"].pk).delete()
