"""
What a schedule may run: a task, or a function or method that takes one message.

It is stored by its path. ``describe`` validates it when a schedule is made, ``resolve`` finds it
again when the schedule runs.
"""

import inspect
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import FunctionType, MethodType, ModuleType
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, router

from taskworks.discovery import found_elsewhere, is_task, task_of
from taskworks.discovery import resolve as resolve_task
from taskworks.exceptions import ResourceNotFound, TaskNotFound

TASK = "task"
FUNCTION = "function"
STATIC_METHOD = "static_method"
CLASS_METHOD = "class_method"
METHOD = "method"  # of an instance of a model

LOCAL = "<locals>"
HISTORICAL = "__fake__"  # the module of models as migrations know them


@dataclass(frozen=True, slots=True)
class Described:
    """
    A task or callable as it is stored. ``object_pk`` is the primary key, as text, of the instance
    whose method it is; None for any other kind.
    """

    kind: str
    path: str
    object_pk: str | None = None


def describe(given: Any, pk: Any = None) -> Described:
    """
    Return what is stored of a task, a function, a static or class method, a method of a saved
    model instance, or the dotted path of one of these. With ``pk``, it is a model's method, which
    will be called on the instance with this primary key.

    Raise ValueError for what no worker could find again, and for what cannot be called with the
    one argument that it will get.
    """
    if isinstance(given, str):
        return _described_path(given, pk)
    given = task_of(given)
    if is_task(given):
        _refuse_pk(given.module_path, pk)
        return _described_task(given)
    match given:
        case MethodType():
            _refuse_pk(given.__qualname__, pk)
            return _described_method(given)
        case FunctionType():
            return _described_function(given, pk)
        case _:
            raise ValueError(f"Only a function or a method can be scheduled. {_what(given)}")


def find(described: Described) -> Any:
    """
    Return the task, the function, or the function of the method. No instance is looked for.

    Raise TaskNotFound if its path leads nowhere, InvalidTask if it was a task and is not any more.
    """
    if described.kind == TASK:
        return resolve_task(described.path)
    try:
        return _found(described.path)
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        raise TaskNotFound(described.path, error) from error


def resolve(described: Described) -> Any:
    """
    Return the task, or what is to be called with the one argument.

    Raise what ``find`` raises, and ResourceNotFound if the instance has been deleted.
    """
    found = find(described)
    if described.kind != METHOD:
        return found
    return MethodType(found, _instance(described))


def is_gone(path: str) -> bool:
    """
    Return whether there is no such module, or the module has no such name. If the module cannot be
    imported, nobody knows, and the answer is False.
    """
    if found_elsewhere(path):
        return False
    try:
        _found(path)
    except ModuleNotFoundError as error:
        return error.name is None  # it is raised by _owner
    except AttributeError as error:
        return error.name in path.split(".")
    except (Exception, SystemExit):  # noqa: BLE001 - a module may raise anything
        return False
    return False


def instance_key(described: Described) -> Any:
    """Return the instance's primary key, in the model's type; raise what ``find`` raises."""
    find(described)
    model, _ = _owner(described.path)
    return model._meta.pk.to_python(described.object_pk)


# A callable that is given as a path.


def _described_path(path: str, pk: Any) -> Described:
    found = found_elsewhere(path) or _found_or_refused(path)
    if is_task(found):
        _refuse_pk(path, pk)
        return Described(TASK, path)
    if not inspect.isroutine(found) or inspect.isbuiltin(found):
        raise ValueError(f"{path!r} cannot be scheduled. {_what(found)}")
    described = Described(_kind(path), path)
    if described.kind == METHOD:
        described = Described(METHOD, path, _stored_pk(path, pk))
    else:
        _refuse_pk(path, pk)
    _validate_signature(found, path, described.kind, name="message")
    return described


def _found_or_refused(path: str) -> Any:
    if not all(part.isidentifier() for part in path.split(".")) or "." not in path:
        raise ValueError(
            f"{path!r} is not the full dotted path of a function: 'package.module.name'."
        )
    try:
        return _found(path)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{path!r} leads to nothing: {error}.") from error
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        raise ValueError(
            f"{path!r} cannot be imported: {type(error).__name__}: {error}."
        ) from error


def _kind(path: str) -> str:
    """Return the kind of a routine: how its class defines it, if it is in one."""
    owner, name = _owner(path)
    if not isinstance(owner, type):
        return FUNCTION
    match inspect.getattr_static(owner, name):
        case staticmethod():
            return STATIC_METHOD
        case classmethod():
            return CLASS_METHOD
        case _:
            return METHOD


def _stored_pk(path: str, pk: Any) -> str:
    model, _ = _owner(path)
    if not issubclass(model, models.Model):
        raise ValueError(
            f"{path!r} is a method of instances of {model.__qualname__}, which is not a Django "
            "model: no worker could find the instance. Use a function, a static or a class method."
        )
    if model._meta.abstract:
        raise ValueError(
            f"{path!r} is a method of an abstract model, which has no instances. Give the path of "
            "a model that has them."
        )
    if pk is None:
        raise ValueError(
            f"{path!r} is a method of an instance, and no instance is given. Give a bound method, "
            "or pk_override=... with the primary key."
        )
    try:
        value = model._meta.pk.to_python(pk)
        return str(model._meta.pk.value_to_string(model(pk=value)))
    except (ValidationError, TypeError, ValueError) as error:
        reason = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
        raise ValueError(f"{pk!r} is not a primary key of {model._meta.label}: {reason}") from error


def _refuse_pk(name: str, pk: Any) -> None:
    if pk is not None:
        raise ValueError(
            f"A primary key ({pk!r}) is given, but {name!r} does not need an instance. Leave "
            "pk_override out."
        )


# A callable that is given as an object.


def _described_task(task: Any) -> Described:
    path = task.module_path
    _refuse_hidden(task.func, path)
    found = _found_or_refused(path)
    if not is_task(found) or found.func != task.func:
        raise ValueError(f"{path!r} is not the path of the task {task!r}, but of something else.")
    return Described(TASK, path)


def _described_function(function: FunctionType, pk: Any) -> Described:
    path = f"{function.__module__}.{function.__qualname__}"
    _refuse_hidden(function, path)
    found = _found_or_refused(path)
    if is_task(found) and found.func is function:
        return Described(TASK, path)
    kind = _kind(path)
    if kind == METHOD and pk is None:
        raise ValueError(
            f"Cannot call the unbound instance method {path!r}: give the method of an instance, "
            "or its path and pk_override=..."
        )
    described = Described(kind, path, _stored_pk(path, pk) if kind == METHOD else None)
    if kind != METHOD:
        _refuse_pk(path, pk)
    _validate_signature(function, path, kind)
    return _same(described, function)


def _described_method(method: MethodType) -> Described:
    owner: Any = method.__self__
    cls = owner if isinstance(owner, type) else type(owner)
    path = f"{cls.__module__}.{cls.__qualname__}.{method.__name__}"
    if cls.__module__ == HISTORICAL:
        raise ValueError(
            f"{cls.__qualname__} is a model as a migration knows it, without its methods. Give "
            "the dotted path of the method, and pk_override=... with the primary key."
        )
    _refuse_hidden(method.__func__, path)
    if not isinstance(owner, type):
        return _same(_described_bound(owner, method, path), method.__func__)
    _validate_signature(method, path, CLASS_METHOD)
    return _same(Described(CLASS_METHOD, path), method.__func__)


def _described_bound(instance: Any, method: MethodType, path: str) -> Described:
    if not isinstance(instance, models.Model):
        raise ValueError(
            f"Only methods of Django model instances can be scheduled, not of {instance!r}: no "
            "worker could find it. Use a function, a static or a class method."
        )
    if instance.pk is None or instance._state.adding:
        raise ValueError(
            f"The instance of the method {path!r} is not saved: no worker could find it. Save it "
            "first."
        )
    _validate_signature(method.__func__, path, METHOD)
    return Described(METHOD, path, instance._meta.pk.value_to_string(instance))


def _refuse_hidden(function: Any, path: str) -> None:
    if function.__name__ == "<lambda>":
        raise ValueError(f"A lambda has no name that a worker could import ({path}): use def.")
    if LOCAL in path:
        raise ValueError(
            f"{path!r} is defined inside a function, where no worker could import it: define it "
            "at the top of a module or in a class."
        )
    if path.startswith("__main__."):
        raise ValueError(
            f"{path!r} is in the script that is running, which no worker could import: define it "
            "in a module."
        )


def _same(described: Described, given: Any) -> Described:
    """Refuse a callable that is not at its own path: a worker would call another one."""
    found = _found_or_refused(described.path)
    if getattr(found, "__func__", found) is not given and found != given:
        raise ValueError(
            f"{described.path!r} is not the path of {given!r}, but of something else, which a "
            "worker would call. Schedule that."
        )
    return described


# Both.


def _validate_signature(function: Any, path: str, kind: str, name: str | None = None) -> None:
    """Refuse what does not take one argument by position, or a method one beside ``self``."""
    taken = [object()] * (2 if kind == METHOD else 1)
    signature = inspect.signature(function)
    try:
        signature.bind(*taken)
    except TypeError:
        raise ValueError(
            f"{path!r} must take one argument, the message, and its signature is {signature}. "
            "Only a task takes others."
        ) from None
    parameters = [*signature.parameters]
    if name and parameters[len(taken) - 1 : len(taken)] != [name]:
        raise ValueError(
            f"{path!r} is given as a path, and its signature is {signature}: such a callable must "
            f"have one parameter, named {name!r}. Only a task takes others."
        )


def _what(given: Any) -> str:
    """Return why it cannot be scheduled, in a sentence."""
    match given:
        case partial():
            return f"{given!r} is a partial, which has no name: define a function."
        case ModuleType():
            return f"A module cannot be called: {given.__name__!r}."
        case type():
            return f"A class cannot be called directly: {given.__qualname__!r}. Name its method."
        case _ if inspect.isbuiltin(given) or inspect.ismethoddescriptor(given):
            return f"{given!r} is a builtin: wrap it in a function that takes a message."
        case _ if callable(given):
            return f"{given!r} is an object with __call__: define a function that uses it."
        case _:
            return f"{given!r} is not callable: it is a {type(given).__name__}."


def _instance(described: Described) -> models.Model:
    model, _ = _owner(described.path)
    alias = router.db_for_write(model)  # a replica may lag behind
    try:
        pk = model._meta.pk.to_python(described.object_pk)
        instance: models.Model = model._base_manager.using(alias).get(pk=pk)
    except (model.DoesNotExist, ValidationError) as error:
        raise ResourceNotFound(
            f"{model._meta.label} {described.object_pk} does not exist any more, and "
            f"{described.path!r} was to be called on it."
        ) from error
    return instance


def _found(path: str) -> Any:
    owner, name = _owner(path)
    return getattr(owner, name)


def _owner(path: str) -> tuple[Any, str]:
    """Return the module or class that the path's last name belongs to, and that name."""
    *parts, name = path.split(".")
    for length in range(len(parts), 0, -1):
        owner = _module(".".join(parts[:length]))
        if owner is not None:
            for part in parts[length:]:
                owner = getattr(owner, part)
            return owner, name
    raise ModuleNotFoundError(f"there is no module {parts[0]!r}")


def _module(path: str) -> Any:
    """Return the module, None if there is none; raise what importing it raises."""
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name and (path == error.name or path.startswith(f"{error.name}.")):
            return None
        raise
