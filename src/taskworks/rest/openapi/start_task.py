"""The body that starts a task: one schema for each offered task, which pydantic derives."""

import re
from collections.abc import Container
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.plumbing import ResolvedComponent

from taskworks.rest.starting import StartTaskSerializer
from taskworks.typed import registry

Schema = dict[str, Any]
Component: Any = ResolvedComponent  # which has no types

BODY = "StartTask"


class StartTaskExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """The body is that of one of the offered tasks, which its name tells apart."""

    target_class = StartTaskSerializer

    def map_serializer(self, auto_schema: Any, direction: Any) -> Schema:
        schemas, bodies = schemas_of_tasks()
        for name, schema in schemas.items():
            component = Component(name, Component.SCHEMA, schema, object=name)
            auto_schema.registry.register_on_missing(component)
        # Required, for drf-spectacular to require the body itself.
        return {"required": ["task", "inputs"], **_one_of(bodies)}


def schemas_of_tasks() -> tuple[dict[str, Schema], dict[str, str]]:
    """Return all schemas of the offered tasks by their names, and the name of each task's body."""
    schemas: dict[str, Schema] = {}
    bodies: dict[str, str] = {}
    for name, task in registry.offered().items():
        title = _title(name, {BODY, *schemas})
        typed: Any = task.typed
        schemas |= _schemas_of(task.inputs, f"{title}Inputs")
        schemas |= _schemas_of(task.outputs, f"{title}Outputs")
        schemas[f"Start{title}"] = {
            "type": "object",
            "properties": {
                "task": {"type": "string", "const": name},
                "inputs": _reference(f"{title}Inputs"),
            },
            "required": ["task", "inputs"],
            "additionalProperties": False,
            "description": typed.description,
        }
        bodies[name] = f"Start{title}"
    return schemas, bodies


def _title(name: str, taken: Container[str]) -> str:
    """Return a name for classes of generated clients."""
    words = re.split(r"[^A-Za-z0-9]+", name)
    title = "".join(word[:1].upper() + word[1:] for word in words) or "Task"
    number = 2
    unique = title
    while f"Start{unique}" in taken or f"{unique}Inputs" in taken:
        unique, number = f"{title}{number}", number + 1
    return unique


def _schemas_of(fields: Any, title: str) -> dict[str, Schema]:
    """Return the schema of a task's inputs or outputs, and those that it refers to."""
    schema: Schema = fields.json_schema(ref_template=_reference(f"{title}.{{model}}")["$ref"])
    definitions = schema.pop("$defs", {})
    return {title: schema} | {f"{title}.{name}": each for name, each in definitions.items()}


def _one_of(bodies: dict[str, str]) -> Schema:
    if not bodies:
        return {"not": {}}
    references = {name: _reference(body) for name, body in bodies.items()}
    return {
        "oneOf": [*references.values()],
        "discriminator": {
            "propertyName": "task",
            "mapping": {name: reference["$ref"] for name, reference in references.items()},
        },
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
