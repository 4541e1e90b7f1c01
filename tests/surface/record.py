"""Records: JSON files that people read and compare, one per subject."""

import difflib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WRITE = "TASKWORKS_TEST_WRITE_SURFACE"  # in the environment: write the records, compare nothing
RECORDS = Path(__file__).parent / "recorded"
WIDTH = 100  # characters of a line that holds a list or an object


def assert_recorded(subject: str, observed: Any) -> None:
    """Compare what is observed with the record of its subject, or write the record."""
    path = RECORDS / f"{subject}.json"
    now = f"{written(observed)}\n"
    if os.environ.get(WRITE):
        path.write_text(now)
    before = path.read_text() if path.exists() else ""
    changes = difflib.unified_diff(before.splitlines(), now.splitlines(), "recorded", "now", n=2)
    assert before == now, "\n".join(
        [f"{subject} has changed. If users may see that: python -m tests.surface", *changes]
    )


def written(value: Any, indent: str = "", name: str = "") -> str:
    """Return the value as JSON, behind its name if it has one; in one line if that fits."""
    line = name + json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or len(indent + line) < WIDTH:
        return line
    deeper = f"{indent}  "
    if isinstance(value, list):
        items = [written(item, deeper) for item in value]
    else:
        items = [written(item, deeper, f"{json.dumps(key)}: ") for key, item in value.items()]
    opening, closing = "[]" if isinstance(value, list) else "{}"
    return f"{name}{opening}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{closing}"


def shape(value: Any) -> Any:
    """Return a JSON value with its keys kept and each other value replaced by its type's name."""
    match value:
        case dict():
            return {key: shape(item) for key, item in value.items()}
        case list():
            return [common_shape(map(shape, value))] if value else []
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case _:
            return "text"


def common_shape(shapes: Iterable[Any]) -> Any:
    """Return one shape for all of these; of null and a value with keys or items, the value's."""
    found = list(shapes)
    objects = [one for one in found if isinstance(one, dict)]
    if objects:
        keys = dict.fromkeys(key for one in objects for key in one)
        return {key: common_shape(one[key] for one in objects if key in one) for key in keys}
    lists = [one for one in found if isinstance(one, list)]
    if lists:
        items = [item for one in lists for item in one]
        return [common_shape(items)] if items else []
    return " or ".join(sorted({*found}))
