"""What the API promises, in OpenAPI's words: its operations, and what they take and give."""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from taskworks.rest.representation import STATUSES
from taskworks.rest.run_filters import LONGEST_NAME, MOST, USUAL
from taskworks.rest.starting import LONGEST_KEY
from taskworks.typed import registry

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "string", "format": "date-time"}
ID: Schema = {"type": "string", "format": "uuid"}
PRINTABLE = r"^[^\x00-\x1f\x7f]+$"


def _object(properties: Mapping[str, Any], *, required: bool = True, **more: Any) -> Schema:
    names = {"required": list(properties)} if required and properties else {}
    return {"type": "object", "properties": dict(properties), **names, **more}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


COMPONENTS: dict[str, Schema] = {
    "TaskRun": _object(
        {
            "id": ID,
            "uuid": {**ID, "description": "The same as id."},
            "task": {**TEXT, "description": "The name of the task."},
            "status": {"type": "string", "enum": list(STATUSES)},
            "progress": _or_null(COUNT),
            "target": _or_null({**COUNT, "description": "What progress counts up to."}),
            "percent": _or_null({"type": "number", "minimum": 0, "maximum": 100}),
            "outputs": {"type": "object", "description": "Empty until it has succeeded."},
            "messages": TEXTS,
            "message_details": {
                "type": "array",
                "items": _object(
                    {
                        "level": {"type": "string", "enum": ["debug", "info", "warning", "error"]},
                        "time": TIME,
                    }
                ),
            },
            "error": _or_null(_object({"type": TEXT, "message": TEXT})),
            "attempts": COUNT,
            "cancel_requested": {"type": "boolean"},
            "queue": TEXT,
            "created": TIME,
            "started": _or_null(TIME),
            "finished": _or_null(TIME),
        }
    ),
    "TaskRunPage": _object(
        {
            "next": _or_null({**TEXT, "format": "uri"}),
            "results": {"type": "array", "items": _reference("TaskRun")},
        }
    ),
    "TaskTypes": _object(
        {
            "results": {
                "type": "array",
                "items": _object(
                    {
                        "name": TEXT,
                        "description": TEXT,
                        "inputs": {"type": "object", "description": "JSON Schema."},
                        "outputs": {"type": "object", "description": "JSON Schema."},
                    }
                ),
            }
        }
    ),
    "Problem": _object({"detail": TEXT}),
    "Refusal": _object(
        {
            "detail": TEXT,
            "task": TEXTS,
            "inputs": {
                "oneOf": [TEXTS, {"type": "object", "additionalProperties": TEXTS}],
                "description": "By the input's name, if it is about single ones.",
            },
            "idempotency_key": TEXTS,
            "non_field_errors": TEXTS,
        },
        required=False,
        description="What is wrong, by the field that it is about.",
    ),
}


def components() -> dict[str, Schema]:
    """The schemas that operations name: the fixed ones, and those of each offered task."""
    found = deepcopy(COMPONENTS)  # drf-spectacular changes what it is given in place
    starts = {}
    for name, task in registry.offered().items():
        title = _title(name, found)
        starts[name] = f"Start{title}"
        typed: Any = task.typed
        inputs = _schema_of(task.inputs, f"{title}Inputs", found)
        found[f"{title}Inputs"] = inputs
        found[f"{title}Outputs"] = _schema_of(task.outputs, f"{title}Outputs", found)
        found[starts[name]] = _object(
            {
                "task": {"type": "string", "const": name},
                "inputs": _reference(f"{title}Inputs"),
            },
            additionalProperties=False,
            description=typed.description,
        )
    found["StartTask"] = _one_of(starts)
    return found


def operation(view: str, method: str) -> Schema | None:
    """What a view promises of a method; None if it has none such."""
    make = OPERATIONS.get((view, method))
    return deepcopy(make()) if make else None


def _one_of(starts: Mapping[str, str]) -> Schema:
    """Told apart by the task's name."""
    if not starts:
        return {"not": {}}
    references = {name: _reference(title) for name, title in starts.items()}
    return {
        "oneOf": list(references.values()),
        "discriminator": {
            "propertyName": "task",
            "mapping": {name: reference["$ref"] for name, reference in references.items()},
        },
    }


def _title(name: str, taken: Mapping[str, Any]) -> str:
    """As a class may be called, for generated clients."""
    words = re.split(r"[^A-Za-z0-9]+", name)
    title = "".join(word[:1].upper() + word[1:] for word in words) or "Task"
    number = 2
    unique = title
    while f"Start{unique}" in taken or f"{unique}Inputs" in taken:
        unique, number = f"{title}{number}", number + 1
    return unique


def _schema_of(fields: Any, title: str, found: dict[str, Schema]) -> Schema:
    """With what it refers to among the components, under its own name."""
    schema: Schema = fields.json_schema(ref_template=f"#/components/schemas/{title}.{{model}}")
    for name, definition in schema.pop("$defs", {}).items():
        found[f"{title}.{name}"] = definition
    return schema


# The operations.


def _answer(description: str, schema: Schema | None = None, **headers: Schema) -> Schema:
    answer: Schema = {"description": description}
    if schema is not None:
        answer["content"] = {"application/json": {"schema": schema}}
    if headers:
        answer["headers"] = {
            name.replace("_", "-"): {"schema": schema} for name, schema in headers.items()
        }
    return answer


RUN = _reference("TaskRun")
PROBLEM, REFUSAL = _reference("Problem"), _reference("Refusal")

# Whoever asks, and whatever for.
ALWAYS = {
    "401": _answer("Nobody is signed in.", PROBLEM),
    "403": _answer("It is not for this user, or without the token against forgery.", PROBLEM),
    "429": _answer("Too often.", PROBLEM, Retry_After=COUNT),
}
NOT_FOUND = {"404": _answer("There is no such run, or it is another user's.", PROBLEM)}
CONFLICT = {"409": _answer("The run's status does not allow it.", PROBLEM)}


def _operation(
    name: str,
    description: str,
    responses: Schema,
    parameters: tuple[Schema, ...] = (),
    body: Schema | None = None,
) -> Schema:
    return {
        "operationId": f"tasks_{name}",
        "description": description,
        "tags": ["tasks"],
        **({"parameters": list(parameters)} if parameters else {}),
        **({"requestBody": body} if body else {}),
        "responses": {**responses, **ALWAYS},
    }


def _parameter(place: str, name: str, schema: Schema, description: str) -> Schema:
    return {
        "in": place,
        "name": name,
        "schema": schema,
        "description": description,
        **({"required": True} if place == "path" else {}),
    }


PATH_ID = _parameter("path", "id", ID, "The run.")
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "pattern": PRINTABLE}
FILTERS = (
    _parameter("query", "task", NAME, "Runs of this task."),
    _parameter("query", "status", {"type": "string", "enum": list(STATUSES)}, "With this status."),
    _parameter("query", "queue", NAME, "Of this queue."),
    _parameter("query", "created_after", TIME, "Enqueued then or later."),
    _parameter("query", "created_before", TIME, "Enqueued before that."),
    _parameter("query", "mine", {"type": "boolean"}, "Those of the user alone; for staff."),
    _parameter(
        "query",
        "page_size",
        {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL},
        "So many at a time.",
    ),
    _parameter("query", "cursor", ID, "After this run; next has it."),
)
KEY = _parameter(
    "header",
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": r"^[!-~]+$"},
    "The same key starts no second run.",
)
LAST_EVENT = _parameter(
    "header", "Last-Event-ID", {"type": "string", "pattern": r"^[!-~]*$"}, "As browsers send it."
)


def _list() -> Schema:
    return _operation(
        "list",
        "The runs of the user, the newest first; staff who may view runs see all.",
        {
            "200": _answer("A page.", _reference("TaskRunPage")),
            "400": _answer("A filter that cannot be.", REFUSAL),
        },
        FILTERS,
    )


def _start() -> Schema:
    return _operation(
        "start",
        "Start a task. Nothing is started by a request that is refused.",
        {
            "201": _answer("The new run.", RUN, Location={**TEXT, "format": "uri"}),
            "200": _answer("The run that this key has started.", RUN, Location=TEXT),
            "400": _answer("Nothing was started, for these reasons.", REFUSAL),
            "413": _answer("The body is too large.", PROBLEM),
            "415": _answer("The body is no JSON.", PROBLEM),
            "422": _answer("The key has started another task, or with other inputs.", REFUSAL),
        },
        (KEY,),
        {
            "required": True,
            "content": {"application/json": {"schema": _reference("StartTask")}},
        },
    )


def _types() -> Schema:
    return _operation(
        "types",
        "The tasks that the user may start, with the JSON Schema of their inputs and outputs.",
        {"200": _answer("All of them.", _reference("TaskTypes"))},
    )


def _retrieve() -> Schema:
    return _operation(
        "retrieve", "A run.", {"200": _answer("The run.", RUN), **NOT_FOUND}, (PATH_ID,)
    )


def _cancel() -> Schema:
    return _operation(
        "cancel",
        "Cancel a run, or ask its worker to; then its status changes a little later.",
        {"200": _answer("The run.", RUN), **NOT_FOUND, **CONFLICT},
        (PATH_ID,),
    )


def _retry() -> Schema:
    return _operation(
        "retry",
        "Make a failed or cancelled run ready again.",
        {"200": _answer("The run.", RUN), **NOT_FOUND, **CONFLICT},
        (PATH_ID,),
    )


def _events() -> Schema:
    return _operation(
        "events",
        "How the run gets on, as server-sent events: status (the whole run), progress, message, "
        "gone.",
        {
            "200": {
                "description": "The events, until the run ends.",
                "content": {"text/event-stream": {"schema": TEXT}},
            },
            "204": _answer("The end was sent before."),
            "406": _answer("This server does not stream: get the run instead.", PROBLEM),
            **NOT_FOUND,
        },
        (PATH_ID, LAST_EVENT),
    )


def _schema() -> Schema:
    return _operation(
        "schema",
        "This document.",
        {
            "200": _answer("OpenAPI 3.1.", {"type": "object"}, ETag=TEXT),
            "304": _answer("It is still the one whose tag is in If-None-Match.", ETag=TEXT),
            "404": _answer("drf-spectacular is not installed.", PROBLEM),
        },
    )


OPERATIONS: dict[tuple[str, str], Callable[[], Schema]] = {
    ("TaskList", "GET"): _list,
    ("TaskList", "POST"): _start,
    ("TaskTypes", "GET"): _types,
    ("TaskDetail", "GET"): _retrieve,
    ("CancelTask", "POST"): _cancel,
    ("RetryTask", "POST"): _retry,
    ("TaskEvents", "GET"): _events,
    ("TaskSchema", "GET"): _schema,
}
