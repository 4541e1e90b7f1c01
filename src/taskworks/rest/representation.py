"""A run as JSON, under django-task-api's names and more."""

from datetime import UTC, datetime
from typing import Any

from taskworks.models import RunState, TaskRun
from taskworks.models.run import FINISHED
from taskworks.result import TaskResult
from taskworks.typed import registry

# The columns that are needed; the others may be large.
SHOWN = (
    "id",
    "backend",
    "queue_name",
    "task_path",
    "owner",
    "state",
    "enqueued_at",
    "attempts",
    "started_at",
    "cancel_requested_at",
    "finished_at",
    "return_value",
    "errors",
    "target",
    "progress",
    "messages",
)

STATUS_OF = {
    RunState.BLOCKED: "pending",
    RunState.SCHEDULED: "pending",
    RunState.READY: "pending",
    RunState.CLAIMED: "pending",
    RunState.RUNNING: "running",
    RunState.SUCCESSFUL: "succeeded",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "cancelled",
}
STATUSES = tuple(dict.fromkeys(STATUS_OF.values()))
FINAL = tuple(STATUS_OF[state] for state in FINISHED)


def states_of(status: str) -> list[RunState]:
    """The states that are shown as this status."""
    return [state for state, shown in STATUS_OF.items() if shown == status]


def shown(run: TaskRun) -> dict[str, Any]:
    """The run as JSON; its inputs are not in it, for they may be nobody's business any more."""
    status = STATUS_OF[RunState(run.state)]
    return {
        "id": str(run.id),
        "uuid": str(run.id),
        "task": registry.named(run.task_path) or run.task_path,
        "status": status,
        "progress": run.progress,
        "target": run.target,
        "percent": _percent(run, status),
        "outputs": _outputs(run) if status == "succeeded" else {},
        "messages": [message["text"] for message in run.messages],
        "message_details": [_details(message) for message in run.messages],
        "error": _error(run) if status in ("failed", "cancelled") else None,
        "attempts": run.attempts,
        "cancel_requested": run.cancel_requested_at is not None,
        "queue": run.queue_name,
        "created": _time(run.enqueued_at),
        "started": _time(run.started_at),
        "finished": _time(run.finished_at),
    }


def shown_result(result: Any) -> dict[str, Any]:
    """The same of a run that has just been enqueued, which is not read again for that."""
    return shown(
        TaskRun(
            id=result.id,
            queue_name=result.task.queue_name,
            task_path=result.task.module_path,
            state=_state_of(result),
            enqueued_at=result.enqueued_at,
            started_at=result.started_at,
            finished_at=result.finished_at,
            attempts=result.attempts,
            return_value=result._return_value,
            errors=[
                {
                    "exception_class_path": error.exception_class_path,
                    "traceback": error.traceback,
                }
                for error in result.errors
            ],
        )
    )


def _state_of(result: TaskResult[..., Any]) -> RunState:
    return RunState.CANCELLED if result.is_cancelled else RunState(result.status.value.lower())


def _percent(run: TaskRun, status: str) -> float | None:
    if run.target is None:
        return None
    if status == "succeeded" or run.target == 0:
        return 100.0
    return min(100.0, round(100 * (run.progress or 0) / run.target, 1))


def _outputs(run: TaskRun) -> dict[str, Any]:
    task: Any = registry.find(name) if (name := registry.named(run.task_path)) else None
    if task is not None:
        outputs: dict[str, Any] = task.typed.shown(run.return_value)
        return outputs
    return {} if run.return_value is None else {"result": run.return_value}


def _details(message: dict[str, Any]) -> dict[str, Any]:
    return {"level": message["level"], "time": message["at"]}


def _error(run: TaskRun) -> dict[str, str] | None:
    """What ended it, without the traceback, which is for those who see the admin."""
    if not run.errors:
        return None
    entry = run.errors[-1]
    path = entry["exception_class_path"]
    return {"type": path.rpartition(".")[2], "message": _said(path, entry["traceback"])}


def _said(path: str, traceback: str) -> str:
    """What an exception says of itself, which stands at the end of its traceback."""
    lines = traceback.rstrip("\n").split("\n")
    names = (path, path.rpartition(".")[2])
    for index in range(len(lines) - 1, -1, -1):
        name, _, text = lines[index].partition(":")
        if name in names:
            return "\n".join([text.strip(), *lines[index + 1 :]]).strip()
    return lines[-1].strip()


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        return moment.isoformat()
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
