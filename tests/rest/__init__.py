"""The REST API: what it answers, to whom, and what it costs."""

from typing import Any

TASKS = "/api/tasks/"


def address(run: Any, verb: str = "") -> str:
    """Of a run, as its JSON, its id or its result names it, or of what is done to it."""
    run_id = run["id"] if isinstance(run, dict) else getattr(run, "id", run)
    return f"{TASKS}{run_id}/{verb and f'{verb}/'}"
