"""A filter from Python: conditions by name, as values or as the texts that people write."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from taskworks.discovery import is_task, task_of
from taskworks.filtering.parsing import FilterError, as_duration, parse
from taskworks.filtering.run_filter import RunFilter
from taskworks.jsonvalue import as_text
from taskworks.options.owner import owner_of


def filter_of(conditions: Mapping[str, Any]) -> RunFilter:
    """
    Return the filter of these conditions, whose names are those of ``parse`` with underscores, and
    ``arguments`` as a dict of values by their paths. What is None is left out. A list, tuple or set
    has several values. Raise FilterError for nonsense, and for names that are unknown.
    """
    texts: dict[str, list[str]] = {}
    for name, value in conditions.items():
        if value is None:
            continue
        if name == "arguments":
            texts["arg"] = [*_arguments(value)]
        else:
            values = value if isinstance(value, list | tuple | set | frozenset) else [value]
            texts[name.replace("_", "-")] = [_text(name, one) for one in values]
    if empty := [name for name, values in texts.items() if "" in values or not values]:
        raise FilterError({name: f"{name} is empty." for name in empty})
    return parse(texts)


def _arguments(value: Any) -> Iterator[str]:
    if not isinstance(value, Mapping):
        raise FilterError({"arg": f"arguments must be a dict, not {value!r:.100}."})
    for path, one in value.items():
        try:
            yield f"{path}={as_text(one)}"
        except (TypeError, ValueError) as error:
            raise FilterError({"arg": f"The argument {path!r:.100} is not JSON: {error}"}) from None


def _text(name: str, value: Any) -> str:
    found = task_of(value)
    if is_task(found):
        return str(found.module_path)
    if name == "owner" and not isinstance(value, str):
        return str(owner_of(value))
    if isinstance(value, datetime):
        return value.isoformat()
    return as_duration(value) if isinstance(value, timedelta) else str(value)
