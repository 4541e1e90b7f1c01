"""What a project's settings, its packaging and its logs may name."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from typing import Any

from django.apps import apps

from tests.surface import inside
from tests.surface.names import ROOT

SOURCES = ROOT / "src" / "taskworks"
CHECK_ID = re.compile(r"taskworks\.[EWI]\d{3}")
LOGGER = re.compile(r"getLogger|our_logger|steady_logger")
OF_OTHERS = re.compile(r"(?:SISY|TASK_API)_[A-Z_]+")  # settings of the packages that we replace


def observed() -> dict[str, Any]:
    """Return settings with their defaults, ids of checks, loggers, and what is packaged."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {
        "TASKWORKS": {one.name.upper(): one.default for one in fields(inside.Conf)},
        "keys of a backend": sorted(inside.KEYS),
        "OPTIONS of a backend": sorted(inside.KEYS_OF_OPTIONS),
        "OPTIONS of a CeleryBackend": sorted(inside.KEYS_OF_CELERY),
        "TASK_DEFAULTS": {one.name: _plain(one.default) for one in fields(inside.Policy)},
        "RETENTION": {name: _plain(age) for name, age in inside.RETENTION.items()},
        "settings of other packages": sorted({*_texts(OF_OTHERS)}),
        "checks": dict(sorted(_checks())),
        "loggers": {"named": sorted({*_loggers()}), "on Django 5.2": inside.BACKPORT_LOGGER},
        "app": {"name": apps.get_app_config("taskworks").name, "label": "taskworks"},
        "distribution": project["name"],
        "extras": sorted(project["optional-dependencies"]),
        "entry points": project["entry-points"],
        "scripts": project.get("scripts", {}),
    }


def _plain(value: Any) -> Any:
    match value:
        case type():
            return value.__name__
        case tuple():
            return [_plain(item) for item in value]
        case bool() | int() | str():
            return value
        case _:
            return str(value)


@cache
def _nodes(text: re.Pattern[str]) -> list[ast.AST]:
    """Return what those of our modules consist of, wherever they are, in which there is this."""
    texts = [path.read_text() for path in sorted(SOURCES.rglob("*.py"))]
    return [node for one in texts if text.search(one) for node in ast.walk(ast.parse(one))]


def _texts(wanted: re.Pattern[str]) -> Iterator[str]:
    for node in _nodes(wanted):
        if isinstance(node, ast.Constant) and wanted.fullmatch(str(node.value)):
            yield node.value


def _calls(text: re.Pattern[str]) -> Iterator[tuple[str, ast.Call]]:
    for node in _nodes(text):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                yield name, node


def _checks() -> Iterator[tuple[str, str]]:
    """Yield the id and the level of each check."""
    for name, call in _calls(CHECK_ID):
        for keyword in call.keywords:
            value = getattr(keyword.value, "value", None)
            if keyword.arg == "id" and isinstance(value, str) and CHECK_ID.fullmatch(value):
                yield value, name


def _loggers() -> Iterator[str]:
    """Yield the names of loggers; that of a module stands for all of them."""
    for name, call in _calls(LOGGER):
        if LOGGER.fullmatch(name):
            match call.args[0]:
                case ast.Constant(value=str(given)):
                    yield given
                case ast.Name(id="__name__"):
                    yield "taskworks.*"
