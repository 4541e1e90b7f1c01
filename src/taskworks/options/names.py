"""What queues, limits, paths and backends may be called."""

from typing import Any


def is_name(name: Any, limit: int) -> bool:
    """Return whether it is 1 to ``limit`` printable characters without surrounding spaces."""
    fits = isinstance(name, str) and 0 < len(name) <= limit and name.isprintable()
    return fits and bool(name == name.strip())
