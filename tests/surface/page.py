"""What pages hold on to: template tags, the browser client, the admin."""

import re
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.template import Context, Template
from django.template.library import import_library
from django.test import override_settings

from taskworks.templatetags import taskworks as tags
from tests.surface.configuration import SOURCES
from tests.surface.names import ROOT, signature

CLIENT = "{% load taskworks %}{% taskworks_client events=True %}"
PROGRESS = "{% load taskworks %}{% taskworks_progress 'ID' label='L' can_cancel=False %}"
STATIC = SOURCES / "static"


def observed() -> dict[str, Any]:
    """Return the tags and what they render, the client's names, and the admin's."""
    library = import_library("taskworks.templatetags.taskworks")
    return {
        "tags": {name: signature(vars(tags)[name]) for name in sorted(library.tags)},
        "filters": sorted(library.filters),
        "{% taskworks_client %}": _rendered(CLIENT).splitlines(),
        "{% taskworks_client %} takes": sorted(tags.OPTIONS),
        "{% taskworks_progress %}": _rendered(PROGRESS),
        "client": _client(),
        "static files": sorted(
            str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file()
        ),
        "admin": {model.__name__: _admin(model) for model in _administered()},
    }


@override_settings(ROOT_URLCONF="tests.rest.urls")
def _rendered(template: str) -> str:
    return Template(template).render(Context({"csrf_token": "TOKEN"}))


def _client() -> dict[str, Any]:
    """Return the names in the client's source and its types."""
    source = (STATIC / "taskworks" / "taskworks.js").read_text()
    types = (ROOT / "js" / "taskworks.d.ts").read_text()
    [options] = re.findall(r"^export interface Options {(.*?)^}", types, re.DOTALL | re.MULTILINE)
    exported = r"^export (?:declare )?(?:const|class|function|interface|type) (\w+)"
    return {
        "exports": sorted({*re.findall(exported, types, re.MULTILINE)}),
        "options": sorted(re.findall(r"^  (\w+)\??:", options, re.MULTILINE)),
        "elements": sorted({*re.findall(r"customElements\.define\('([\w-]+)'", source)}),
        "attributes": sorted({*re.findall(r"this\.(?:get|has)Attribute\('([\w-]+)'", source)}),
        "parts": sorted({*re.findall(r"makePart\('(\w+)'", source)}),
        "variables of style": sorted({*re.findall(r"var\((--[\w-]+)", source)}),
        "events": sorted({*re.findall(r"'([\w-]+)': CustomEvent", types)}),
    }


def _administered() -> list[Any]:
    models = apps.get_app_config("taskworks").get_models()
    return sorted(filter(admin.site.is_registered, models), key=lambda model: model.__name__)


def _admin(model: Any) -> dict[str, Any]:
    of_model: Any = admin.site._registry[model]
    return {
        "addresses": {one.name: str(one.pattern) for one in of_model.get_urls() if one.name},
        "actions": list(of_model.actions),
        "filters": [_parameter(one) for one in of_model.list_filter],
    }


def _parameter(given: Any) -> str:
    """Return the name of a filter in an address."""
    match given:
        case str() as field:
            return field
        case (field, _):
            return str(field)
        case _:
            return str(given.parameter_name)
