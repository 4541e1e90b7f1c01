"""The body that starts a task: one schema for each offered task, which pydantic derives."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.settings import spectacular_settings

from taskworks.rest.openapi.names import component_name, reference
from taskworks.rest.openapi.subschemas import Schema
from taskworks.rest.openapi.task_schemas import components_of
from taskworks.rest.openapi.version_3_0 import in_3_0
from taskworks.rest.starting import StartTaskSerializer
from taskworks.typed import registry

Component: Any = ResolvedComponent  # which has no types

# Of the components that are not of tasks, and of the classes that generators make of parts of them.
NAMES = [
    component_name(name)
    for name in (
        "Level",
        "Problem",
        "Refusal",
        "RefusalInputs",
        "Run",
        "RunError",
        "RunMessageDetails",
        "RunOutputs",
        "RunPage",
        "StartTask",
        "StartTaskRequest",
        "Status",
        "Type",
        "TypeInputs",
        "TypeOutputs",
        "Types",
    )
]


class StartTaskExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """The body is that of one of the offered tasks, which its name tells apart."""

    target_class = StartTaskSerializer

    def map_serializer(self, auto_schema: Any, direction: Any) -> Schema:
        translate = in_3_0 if spectacular_settings.OAS_VERSION.startswith("3.0") else _as_it_is
        schemas, bodies = components_of(registry.offered(), NAMES, translate)
        for name, schema in schemas.items():
            component = Component(name, Component.SCHEMA, schema, object=name)
            auto_schema.registry.register_on_missing(component)
        # Required, for drf-spectacular to require the body itself.
        return {"required": ["task", "inputs"], **_one_of(bodies)}


def _as_it_is(schema: Schema) -> Schema:
    return schema


def _one_of(bodies: Mapping[str, str]) -> Schema:
    if not bodies:
        return {"not": {}}
    references = {task: reference(body) for task, body in bodies.items()}
    return {
        "oneOf": [*references.values()],
        "discriminator": {
            "propertyName": "task",
            "mapping": {task: each["$ref"] for task, each in references.items()},
        },
    }
