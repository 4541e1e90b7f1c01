"""What the API answers: a run and a page of runs, the tasks that it offers, and errors."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from taskworks.context import LEVELS
from taskworks.log_lines import LOGGER, lines_of, messages_of
from taskworks.models import RunState, TaskRun
from taskworks.models.run import FINISHED
from taskworks.result import TaskResult
from taskworks.tracebacks import message_of
from taskworks.typed import registry

# The columns that the answer needs; the others may be large.
RUN_COLUMNS = (
    "id",
    "backend",
    "queue_name",
    "task_path",
    "callable_path",
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

MAX_UNKNOWN_FIELDS_NAMED = 20  # in the answer to one request

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
# What users are told of a run that has not succeeded, unless its task says something else.
ERRORS = {"failed": "The task failed.", "cancelled": "The task was cancelled."}
FINAL_STATUSES = tuple(STATUS_OF[state] for state in FINISHED)


def states_of(status: str) -> list[RunState]:
    """Return the states that have this status in the API."""
    return [state for state, shown in STATUS_OF.items() if shown == status]


class StatusField(serializers.ChoiceField):
    """A run's status."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(STATUSES, **kwargs)


class LevelField(serializers.ChoiceField):
    """A message's level."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(LEVELS, **kwargs)


class CountField(serializers.IntegerField):
    """A number of things."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, **kwargs)


class TaskRunMessageDetailsSerializer(serializers.Serializer):
    """What there is to know of a message besides its text."""

    level = LevelField()
    time = serializers.DateTimeField()


class TaskRunLogLineSerializer(serializers.Serializer):
    """A line that the task's code has logged."""

    time = serializers.DateTimeField()
    level = serializers.CharField()
    logger = serializers.CharField()
    text = serializers.CharField(allow_blank=True)
    attempt = CountField(allow_null=True)


class TaskRunErrorSerializer(serializers.Serializer):
    """Why a run failed: its exception, as far as users may know it."""

    type = serializers.CharField(help_text="The class of the exception.")
    message = serializers.CharField(help_text="What the task tells its users.")
    detail = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="The exception's own message; only for staff who may view runs.",
    )


class TaskRunSerializer(serializers.Serializer):
    """A run of a task."""

    id = serializers.UUIDField()
    uuid = serializers.UUIDField(help_text="The same as id.")
    task = serializers.CharField(help_text="The name of the task.")
    status = StatusField()
    progress = CountField(allow_null=True)
    target = CountField(allow_null=True, help_text="What progress counts up to.")
    percent = serializers.FloatField(min_value=0, max_value=100, allow_null=True)
    outputs = serializers.DictField(help_text="Empty until the run has succeeded.")
    messages = serializers.ListField(child=serializers.CharField(allow_blank=True))
    message_details = TaskRunMessageDetailsSerializer(many=True)
    error = TaskRunErrorSerializer(allow_null=True)
    attempts = CountField()
    cancel_requested = serializers.BooleanField()
    queue = serializers.CharField()
    created = serializers.DateTimeField()
    started = serializers.DateTimeField(allow_null=True)
    finished = serializers.DateTimeField(allow_null=True)
    log_lines = TaskRunLogLineSerializer(
        many=True,
        required=False,
        help_text="What was logged, of one run; only for staff who may view runs.",
    )
    why_waiting = serializers.CharField(
        required=False,
        allow_null=True,
        help_text="Why no worker has it; only of a single run, and for staff who may view runs.",
    )

    # The fields only describe the answer: to make it from them would take several times as long.
    def to_representation(self, run: TaskRun) -> dict[str, Any]:
        shown = run_as_json(run, with_detail=self.context.get("with_detail", False))
        if self.context.get("with_lines") and (lines := lines_of(run.messages)):
            shown["log_lines"] = [*map(_line, lines)]
        return shown


class TaskRunPageSerializer(serializers.Serializer):
    """A page of a list of runs, the newest first."""

    next = serializers.URLField(allow_null=True)
    results = TaskRunSerializer(many=True)


class TaskTypeSerializer(serializers.Serializer):
    """A task that the user may start."""

    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    inputs = serializers.DictField(help_text="JSON Schema.")
    outputs = serializers.DictField(help_text="JSON Schema.")

    def to_representation(self, named: tuple[str, Any]) -> dict[str, Any]:
        name, task = named
        return {
            "name": name,
            "description": task.typed.description,
            "inputs": task.inputs.json_schema(),
            "outputs": task.outputs.json_schema(),
        }


class TaskTypesSerializer(serializers.Serializer):
    """The tasks that the user may start."""

    results = TaskTypeSerializer(many=True)


class ProblemSerializer(serializers.Serializer):
    """Why a request was refused."""

    detail = serializers.CharField()


class ErrorsField(serializers.ListField):
    """Everything that is wrong with one field of a request."""

    child = serializers.CharField()


class InputErrorsField(serializers.Field):
    """What is wrong with the inputs: a list for all of them, or a list for each by its name."""


class RefusalSerializer(serializers.Serializer):
    """What is wrong, by the field that it is about."""

    detail = serializers.CharField(required=False)
    task = ErrorsField(required=False)
    inputs = InputErrorsField(
        required=False, help_text="By the input's name, if it is about single inputs."
    )
    idempotency_key = ErrorsField(required=False)
    from_step = ErrorsField(required=False)
    name = ErrorsField(required=False)
    value = ErrorsField(required=False)
    non_field_errors = ErrorsField(required=False)


# What is asked.


class StrictSerializer(serializers.Serializer):
    """What a request gives; other keys than its fields are errors."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return super().to_internal_value(data)  # which refuses it
        unknown = [name for name in data if name not in self.fields][:MAX_UNKNOWN_FIELDS_NAMED]
        errors: dict[str, Any] = {name: [self.why_unknown(name)] for name in unknown}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            errors.update(error.detail)  # type: ignore[arg-type]
        if errors:
            raise serializers.ValidationError(errors)
        return values

    def why_unknown(self, name: str) -> str:
        """Return what is wrong with a key that is not a field."""
        return "Unknown field."


# A run as JSON.


def run_as_json(run: TaskRun, *, with_detail: bool = False) -> dict[str, Any]:
    """
    Return the run under django-task-api's names, without its inputs. ``with_detail``: with the
    message of its exception, which may name what is not for its users.
    """
    status = STATUS_OF[RunState(run.state)]
    messages = messages_of(run.messages)
    return {
        "id": str(run.id),
        "uuid": str(run.id),
        "task": registry.named(run.task_path) or run.called_path,
        "status": status,
        "progress": run.progress,
        "target": run.target,
        "percent": _percent(run, status),
        "outputs": _outputs(run) if status == "succeeded" else {},
        "messages": [message["text"] for message in messages],
        "message_details": [_details(message) for message in messages],
        "error": _error(run, status, with_detail) if status in ERRORS else None,
        "attempts": run.attempts,
        "cancel_requested": run.cancel_requested_at is not None,
        "queue": run.queue_name,
        "created": time_as_json(run.enqueued_at),
        "started": time_as_json(run.started_at),
        "finished": time_as_json(run.finished_at),
    }


def run_of_result(result: Any) -> TaskRun:
    """
    Return the run that has just been enqueued, as far as it is shown, without reading it. It is
    never saved.
    """
    return TaskRun(
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


def _state_of(result: TaskResult[..., Any]) -> RunState:
    return RunState.CANCELLED if result.is_cancelled else RunState(result.status.value.lower())


def _percent(run: TaskRun, status: str) -> float | None:
    if run.target is None:
        return None
    if status == "succeeded" or run.target == 0:
        return 100.0
    return min(100.0, round(100 * (run.progress or 0) / run.target, 1))


def _outputs(run: TaskRun) -> dict[str, Any]:
    if typed := _typed(run):
        outputs: dict[str, Any] = typed.shown(run.return_value)
        return outputs
    return {} if run.return_value is None else {"result": run.return_value}


def _typed(run: TaskRun) -> Any:
    """Return what the run's task declares, if it is offered."""
    task: Any = registry.find(name) if (name := registry.named(run.task_path)) else None
    return task and task.typed


def _details(message: dict[str, Any]) -> dict[str, Any]:
    return {"level": message["level"], "time": message["at"]}


def _line(line: dict[str, Any]) -> dict[str, Any]:
    keys = {"time": "at", "level": "level", "logger": LOGGER, "text": "text", "attempt": "attempt"}
    return {name: line.get(key) for name, key in keys.items()}


def _error(run: TaskRun, status: str, with_detail: bool) -> dict[str, str] | None:
    # Without the traceback, which only those who may see the admin should read.
    if not run.errors:
        return None
    entry = run.errors[-1]
    path = entry["exception_class_path"]
    error = {"type": path.rpartition(".")[2], "message": _told(run, status)}
    if with_detail:
        error["detail"] = message_of(path, entry["traceback"])
    return error


def _told(run: TaskRun, status: str) -> str:
    """Return what users are told of a run's end: the task's own sentence, if it failed."""
    typed = _typed(run) if status == "failed" else None
    return str((typed and typed.failure_message) or ERRORS[status])


def time_as_json(moment: datetime | None) -> str | None:
    """Return a time in UTC."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        return moment.isoformat()
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
