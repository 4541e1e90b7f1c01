"""The OpenAPI document, by drf-spectacular: this is the one door to it."""

import re
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from django.urls import include, path, reverse
from django.utils.http import quote_etag
from django.utils.translation import get_language
from rest_framework.schemas.inspectors import DefaultSchema

from taskworks.rest import access, operations
from taskworks.rest.rendering import JSON
from taskworks.typed import registry

try:
    import drf_spectacular  # noqa: F401 - to see whether it is there
except ImportError:
    is_possible = False
    AutoSchema: Any = DefaultSchema
else:
    from drf_spectacular import generators, openapi, plumbing

    is_possible = True
    AutoSchema = openapi.AutoSchema
    SchemaGenerator: Any = generators.SchemaGenerator
    ResolvedComponent: Any = plumbing.ResolvedComponent

VERSION = "3.1.0"
MOST_KEPT = 20  # documents, one a language


class TaskSchema(AutoSchema):  # type: ignore[misc]
    """Describes a view of ours, in the document of the whole project as well."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> dict[str, Any] | None:
        self.registry, self.method = registry, method.upper()
        self.path, self.path_regex, self.path_prefix = path, path_regex, path_prefix
        operation = operations.operation(type(self.view).__name__, self.method)
        if operation is None:
            return None
        for name, schema in operations.components().items():
            registry.register_on_missing(
                ResolvedComponent(
                    name=name, type=ResolvedComponent.SCHEMA, schema=schema, object=name
                )
            )
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                [parameter["name"]] = re.findall(r"{(\w+)}", path)
        if security := self.get_auth():
            operation["security"] = security
        return operation


def schema() -> Any:
    """What describes a view of ours, whatever the project describes its own with."""
    return TaskSchema() if is_possible else DefaultSchema()


class Document(NamedTuple):
    """The OpenAPI document, in JSON; the tag is another if the document is."""

    content: bytes
    etag: str


def document() -> Document:
    """The document of these views alone, at their addresses; the same for whoever asks."""
    return _document(_circumstances())


class _Circumstances(NamedTuple):
    """All that a document follows from and that may change while a process lives."""

    address: str  # which a request, its host or its language may have changed
    language: str | None  # of labels
    offered: tuple[tuple[str, Any], ...]
    classes: tuple[Any, ...]


def _circumstances() -> _Circumstances:
    return _Circumstances(
        address=reverse("taskworks:task-list").removesuffix("tasks/").lstrip("/"),
        language=get_language(),
        offered=tuple((name, task.typed) for name, task in registry.offered().items()),
        classes=(*access.authentication_classes(), *access.permission_classes()),
    )


@lru_cache(maxsize=MOST_KEPT)
def _document(circumstances: _Circumstances) -> Document:
    from taskworks.rest import urls

    generator = SchemaGenerator(patterns=[path(circumstances.address, include(urls))])
    paths = generator.parse(None, public=True)
    components = generator.registry.build({})
    content = JSON().render(
        {
            "openapi": VERSION,
            "info": {"title": "Tasks", "version": "1"},
            "paths": paths,
            "components": components,
        }
    )
    return Document(content, quote_etag(sha256(content).hexdigest()))
