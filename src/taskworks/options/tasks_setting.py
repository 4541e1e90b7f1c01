"""The ``TASKS`` setting: the backend of an alias, and the keys that nobody reads."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from taskworks.conf import close_to, nearest
from taskworks.database.shards import DATABASE
from taskworks.exceptions import InvalidTaskBackend
from taskworks.framework import BaseTaskBackend, task_backends
from taskworks.options.policy import OPTIONS

KEYS = ("BACKEND", "QUEUES", "OPTIONS")
KEYS_OF_OPTIONS = (
    DATABASE,
    "TASK_DEFAULTS",
    "QUEUE_DEFAULTS",
    "RETENTION",
    "QUEUE_RETENTION",
    "QUEUE_OBJECTIVES",
)
DATABASE = "taskworks.backends.database.DatabaseBackend"
OURS = [
    "taskworks.backends.celery.CeleryBackend",
    DATABASE,
    "taskworks.backends.dummy.DummyBackend",
    "taskworks.backends.immediate.ImmediateBackend",
]


def aliases() -> list[str]:
    """Return the aliases in TASKS; raise InvalidTaskBackend if it is not a dict."""
    given: Any = task_backends.settings
    if not isinstance(given, Mapping):
        raise InvalidTaskBackend(f"TASKS must be a dict of backends by alias, not {given!r}.")
    return [*given]


def backend_of(alias: str) -> BaseTaskBackend:
    """Return the backend with this alias; raise InvalidTaskBackend, in a sentence, if unusable."""
    if alias not in aliases():
        raise InvalidTaskBackend(f"TASKS has no backend {alias!r}.{nearest(alias, aliases())}")
    place, entry = f"TASKS[{alias!r}]", task_backends.settings[alias]
    _validate_entry(place, entry)
    path = entry["BACKEND"]
    try:
        backend = task_backends[alias]
    except Exception as error:  # the class, or its module, may raise anything
        raise InvalidTaskBackend(
            f"{place}['BACKEND'] is {path!r}, which cannot be used: {_reason(error)}."
            f"{'' if path in OURS else close_to(path, OURS)}"
        ) from error
    if not hasattr(backend, "check"):
        raise InvalidTaskBackend(f"{place}['BACKEND'] is {path!r}, which is not a backend.")
    return backend


def unusable() -> Iterator[InvalidTaskBackend]:
    """Yield the error of each backend in TASKS that cannot be used."""
    try:
        configured = aliases()
    except InvalidTaskBackend as error:
        yield error
        return
    for alias in configured:
        try:
            backend_of(alias)
        except InvalidTaskBackend as error:
            yield error


def _validate_entry(place: str, entry: Any) -> None:
    if not isinstance(entry, Mapping):
        raise InvalidTaskBackend(f"{place} must be a dict with the key 'BACKEND', not {entry!r}.")
    if not isinstance(entry.get("BACKEND"), str):
        raise InvalidTaskBackend(
            f"{place}['BACKEND'] must be the dotted path of a backend's class, such as {DATABASE!r}"
            f"{_instead(entry)}."
        )
    queues, options = entry.get("QUEUES", []), entry.get("OPTIONS", {})
    if not isinstance(queues, Iterable) or isinstance(queues, str):
        raise InvalidTaskBackend(f"{place}['QUEUES'] must be a list of names, not {queues!r}.")
    if not isinstance(options, Mapping):
        raise InvalidTaskBackend(f"{place}['OPTIONS'] must be a dict, not {options!r}.")


def _instead(entry: Mapping[Any, Any]) -> str:
    if "BACKEND" in entry:
        return f", not {entry['BACKEND']!r}"
    given = ", ".join(map(repr, entry))
    return f"; the dict has {f'only {given}' if given else 'no keys'}"


def _reason(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, InvalidTaskBackend) else error
    if isinstance(cause, ImportError):
        return str(cause).rstrip(".")
    return f"{type(cause).__name__}: {cause}".rstrip(".")


def unknown_keys(alias: str) -> Iterator[str]:
    """Yield a sentence about each key that backends of Taskworks do not read."""
    entry = task_backends.settings[alias]
    place = f"TASKS[{alias!r}]"
    in_options = f"{place}['OPTIONS']"
    keys_of_options = (*KEYS_OF_OPTIONS, *getattr(task_backends[alias], "keys_of_options", ()))
    places = {
        **dict.fromkeys(KEYS, place),
        **dict.fromkeys(keys_of_options, in_options),
        **{
            name: f"@task({name}=...), or in {in_options}['TASK_DEFAULTS'] for every task"
            for name in OPTIONS
        },
    }
    yield from (_unknown(key, place, places) for key in entry if key not in KEYS)
    yield from (
        _unknown(key, in_options, places)
        for key in entry.get("OPTIONS", {})
        if key not in keys_of_options
    )


def _unknown(key: Any, place: str, places: Mapping[str, str]) -> str:
    """Return, in a sentence, which key was probably meant, and where it belongs."""
    said = f"{place} has an unknown key: {key!r}."
    meant = _closest(str(key), places)
    if meant is None:
        return f"{said} Choose from: {', '.join(n for n in places if places[n] == place)}."
    if meant != key:
        said += f" Did you mean {meant!r}?"
    return said if places[meant] == place else f"{said} It belongs in {places[meant]}."


def _closest(key: str, names: Iterable[str]) -> str | None:
    """Return the name that is most similar, whether it is written in capitals or not."""
    names = {name.upper(): name for name in names}
    close = get_close_matches(key.upper(), names, n=1)
    return names[close[0]] if close else None
