"""``TaskCall``: a task and its arguments, for a workflow to enqueue."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskworks.definition import Task


@dataclass(frozen=True, slots=True)
class TaskCall:
    """What ``Task.step()`` returns; the arguments are validated as far as its task is typed."""

    task: "Task[..., Any]"
    args: list[Any]
    kwargs: dict[str, Any]
