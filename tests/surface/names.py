"""Names that users import or write into their settings, and what is behind each."""

import inspect
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from enum import Enum
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from django.contrib.admin import ModelAdmin
from django.db.migrations.operations.base import Operation
from django.db.models import Model
from django.dispatch import Signal
from django.utils.module_loading import import_string

from taskworks import framework

ROOT = Path(__file__).parents[2]
MODULES = [
    "taskworks",
    "taskworks.celery",
    "taskworks.control",
    "taskworks.endpoints",
    "taskworks.exceptions",
    "taskworks.instruments",
    "taskworks.models",
    "taskworks.moving",
    "taskworks.opentelemetry",
    "taskworks.prometheus",
    "taskworks.rest",
    "taskworks.retry",
    "taskworks.schedules",
    "taskworks.sentry",
    "taskworks.signals",
    "taskworks.testing",
    "taskworks.typed",
    "taskworks.typed.params",
]
# What projects write into settings and URLs, register, or name to pytest.
WRITTEN = [
    "taskworks.admin.PauseAdmin",
    "taskworks.admin.ScheduleAdmin",
    "taskworks.admin.TaskRunAdmin",
    "taskworks.apps.TaskworksConfig",
    "taskworks.backends.celery.CeleryBackend",
    "taskworks.backends.database.DatabaseBackend",
    "taskworks.backends.dummy.DummyBackend",
    "taskworks.backends.immediate.ImmediateBackend",
    "taskworks.captured_logs.RunLogHandler",
    "taskworks.correlation.CorrelationFilter",
    "taskworks.correlation.RunFilter",
    "taskworks.correlation.add_run",
    "taskworks.dashboard.urls",
    "taskworks.rest.urls",
    "taskworks.testing.plugin",
]
DOCUMENTED = ["README.md", "docs/**/*.md", "docs/snippets/**/*.py", "example/**/*.py"]
IMPORT = re.compile(r"^\s*from (taskworks[\w.]*) import (\([^)]*\)|[^\n#]+)", re.MULTILINE)
NAME = re.compile(r"(?<!as )\b\w+\b")
QUOTED = re.compile(r"""["'](taskworks(?:\.\w+)+)["']""")
BUILT_ON = (ModelAdmin, Operation)  # Django's, whose methods it calls itself
SIMPLE = (str, int, float, bool, datetime, type(None))


def observed() -> dict[str, Any]:
    """Return what each public path leads to."""
    return {path: _described_at(path) for path in paths()}


def paths() -> list[str]:
    """Return the public paths, and those that the documents and the example import."""
    public = {*WRITTEN, *(path for name in MODULES for path in _public(name))}
    return sorted(public | {path for path in _documented() if _leads_somewhere(path)})


def found(path: str) -> Any:
    """Return what a dotted path leads to; raise ImportError if that is nothing."""
    try:
        return import_module(path)
    except ModuleNotFoundError:
        return import_string(path)


def _described_at(path: str) -> Any:
    value = found(path)
    place = _places().get(value, path) if isinstance(value, type) else path
    return _described(value) if place == path else f"= {place}"


@cache
def _places() -> dict[type, str]:
    """Return the public classes, each with its first path."""
    values = {path: found(path) for path in reversed(paths())}
    return {value: path for path, value in values.items() if isinstance(value, type)}


def _described(value: Any) -> Any:
    """Return what can be seen of a value without calling it."""
    if _is_of_the_standard(value):
        return "the standard's"
    match value:
        case ModuleType() | Signal():
            return type(value).__name__.lower()
        case type():
            return _class(value)
        case _ if inspect.isroutine(value):
            return f"function{signature(value)}"
        case _ if _is_simple(value):
            return repr(value)
        case _:
            return f"a {type(value).__name__}"


def signature(function: Callable[..., Any], *, bound: bool = False) -> str:
    """
    Return the signature without annotations, and without the first argument if it is ``bound``.
    Arguments that can only be given by name are sorted.
    """
    whole = inspect.signature(function)
    empty = inspect.Parameter.empty
    parameters = [
        one.replace(annotation=empty, default=_default(one.default))
        for one in [*whole.parameters.values()][bound:]
        if not one.name.startswith("_")
    ]
    parameters.sort(key=lambda one: (one.kind, one.name if one.kind == one.KEYWORD_ONLY else ""))
    return str(whole.replace(parameters=parameters, return_annotation=empty))


class _Named:
    """A default that is shown by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


def _default(value: Any) -> Any:
    if value is inspect.Parameter.empty or _is_simple(value):
        return value
    return _Named(getattr(value, "__name__", repr(value)))


def _public(name: str) -> Iterator[str]:
    """Yield a module's path, and those in its ``__all__``, or of its own classes without one."""
    module = import_module(name)
    own = [key for key, value in vars(module).items() if _is_own_class(value, name)]
    yield name
    yield from (f"{name}.{key}" for key in getattr(module, "__all__", own))


def _is_own_class(value: Any, module: str) -> bool:
    is_own = isinstance(value, type) and value.__module__ == module
    return is_own and not value.__name__.startswith("_")


def _documented() -> Iterator[str]:
    """Yield what is imported or quoted in the documents, whether it is a path or not."""
    for pattern in DOCUMENTED:
        for path in ROOT.glob(pattern):
            text = path.read_text()
            yield from QUOTED.findall(text)
            for module, names in IMPORT.findall(text):
                yield module
                yield from (f"{module}.{name}" for name in NAME.findall(names))


def _leads_somewhere(path: str) -> bool:
    try:
        found(path)
    except ImportError:
        return False
    return True


def _is_of_the_standard(value: Any) -> bool:
    return not _is_simple(value) and any(value is one for one in vars(framework).values())


def _is_simple(value: Any) -> bool:
    """Return whether a value's repr says all there is to it."""
    if isinstance(value, tuple):
        return all(map(_is_simple, value))
    return isinstance(value, SIMPLE)


def _class(cls: type) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": _kind(cls)}
    if issubclass(cls, Enum):
        return described | {"values": {one.name: one.value for one in cls}}
    if issubclass(cls, BUILT_ON):
        return described
    if not issubclass(cls, Model) and is_ours(_owner(cls, "__init__")):
        described["made by"] = signature(cls.__init__, bound=True)
    if members := _members(cls):
        described["members"] = members
    if issubclass(cls, Model) and (methods := _members(cls._default_manager._queryset_class)):
        described["objects"] = methods
    return described


def _kind(cls: type) -> str:
    """Return the kind of a class, with the bases that users know."""
    if issubclass(cls, Enum):
        return "enumeration"
    if issubclass(cls, Model):
        return "model"
    known = [base.__name__ for base in cls.__mro__[1:-1] if base in _places() or _is_caught(base)]
    return f"class({', '.join(known)})" if known else "class"


def _is_caught(cls: type) -> bool:
    return issubclass(cls, BaseException) and not cls.__name__.startswith("_")


def _members(cls: type) -> dict[str, str]:
    """Return what our classes give it, but for what a public base has as well."""
    known = [_members(base) for base in cls.__mro__[1:] if base in _places() and is_ours(base)]
    names = [name for name in sorted(dir(cls)) if not name.startswith("_")]
    ours = {name: _member(vars(_owner(cls, name))[name]) for name in names if _is_own(cls, name)}
    inherited = {item for members in known for item in members.items()}
    return dict(item for item in ours.items() if item not in inherited)


def _is_own(cls: type, name: str) -> bool:
    """Return whether a member is ours, and no column."""
    owner = _owner(cls, name)
    is_column = issubclass(cls, Model) and _member(vars(owner)[name]) == "attribute"
    return is_ours(owner) and not is_column


def _member(raw: Any) -> str:
    match raw:
        case staticmethod():
            return f"static method{signature(raw.__func__)}"
        case classmethod():
            return f"class method{signature(raw.__func__, bound=True)}"
        case property():
            return "property"
        case FunctionType():
            kind = "coroutine method" if inspect.iscoroutinefunction(raw) else "method"
            return f"{kind}{signature(raw, bound=True)}"
        case _ if _is_simple(raw):
            return f"attribute {raw!r}"
        case _:
            return "attribute"


def _owner(cls: type, name: str) -> type:
    return next((one for one in cls.__mro__ if name in vars(one)), object)


def is_ours(cls: type) -> bool:
    """Return whether a class is neither Django's nor our copy of what Django has."""
    return is_in_ours(f"{cls.__module__}.{cls.__name__}")


def is_in_ours(path: str) -> bool:
    """Return the same of the path of a class."""
    return path.startswith("taskworks.") and not path.startswith("taskworks.framework.")
