"""The OpenAPI document of the API alone, made once for all who ask."""

from functools import lru_cache
from hashlib import sha256
from threading import Lock
from typing import Any, NamedTuple

from django.urls import include, path
from django.utils.http import quote_etag
from django.utils.translation import get_language
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings

from taskworks.rest import access
from taskworks.rest.json_format import ASCIIJSONRenderer
from taskworks.typed import registry

MAX_DOCUMENTS_KEPT = 20  # one per language

# Of drf-spectacular, so that the document does not depend on the project's.
SETTINGS = {"OAS_VERSION": "3.1.0", "COMPONENT_SPLIT_REQUEST": False}

# These settings belong to the process, and would be lost if two threads changed them at once.
_settings_lock = Lock()


class Document(NamedTuple):
    """A document in JSON, and a tag that changes with it."""

    content: bytes
    etag: str


def document(address: str) -> Document:
    """Return the document of the API below this path; it is the same for all users."""
    return _document_for(_circumstances(address))


class _Circumstances(NamedTuple):
    """All that a document depends on and that may change while a process lives."""

    address: str  # of which there are several if the API is included several times
    language: str | None  # of labels
    offered: tuple[tuple[str, Any], ...]
    classes: tuple[Any, ...]


def _circumstances(address: str) -> _Circumstances:
    return _Circumstances(
        address=address.lstrip("/"),
        language=get_language(),
        offered=tuple((name, task.typed) for name, task in registry.offered().items()),
        classes=(*access.authentication_classes(), *access.permission_classes()),
    )


@lru_cache(maxsize=MAX_DOCUMENTS_KEPT)
def _document_for(circumstances: _Circumstances) -> Document:
    content = ASCIIJSONRenderer().render(_generated(circumstances.address))
    return Document(content, quote_etag(sha256(content).hexdigest()))


def _generated(address: str) -> dict[str, Any]:
    # Without the project's hooks and additional components, which get_schema() would add.
    from taskworks.rest import urls

    with _settings_lock, patched_settings(SETTINGS):
        generator: Any = SchemaGenerator(patterns=[path(address, include(urls))])  # type: ignore[no-untyped-call]
        paths = generator.parse(None, public=True)
        return {
            "openapi": SETTINGS["OAS_VERSION"],
            "info": {"title": "Tasks", "version": "1"},
            "paths": paths,
            "components": generator.registry.build({}),
        }
