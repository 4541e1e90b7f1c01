"""
What notifications say, written and read, and on which channel.

On one channel workers hear that runs have become ready, that a schedule was saved, and which runs
somebody watches. On another one they answer that a watched run has changed; a run that nobody
watches costs no notification. Any role of the database may send any text, which is ignored if it is
not one of these.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

CHANNEL = "taskworks"
WATCHERS_CHANNEL = "taskworks_watched"
MAX_RUNS_PER_NOTIFICATION = 150  # ids; a payload has room for 8,000 bytes
LONGEST_NAME = 128  # characters, of a queue or a backend
SURROGATES = re.compile("[\ud800-\udfff]")  # which cannot be encoded

_written = json.JSONEncoder().encode  # json.dumps would be one more call for each enqueue

SCHEDULE_SAVED = _written({"schedules": True})
# To workers this says that runs of any queue may be ready: they look at what is paused as well.
PAUSES_CHANGED = _written([None, None])


def own_payload(token: str) -> str:
    """Return what a worker sends to itself to see whether notifications arrive."""
    return _written({"test": token})


def runs_ready_in(backend: str | None, queue_name: str | None) -> str:
    """Return what says to workers that runs of a queue are ready, or will be soon."""
    return _written([backend, queue_name])


def ready_queue(payload: str) -> tuple[str | None, str | None] | None:
    """Return the backend and the queue of a notification of ready runs; None for any other."""
    match _parsed(payload):
        case [backend, queue_name] if _may_be_name(backend) and _may_be_name(queue_name):
            return backend, queue_name
        case _:
            return None


def _may_be_name(name: Any) -> bool:
    """Return whether it names nothing, or something that a database can be asked for."""
    if not isinstance(name, str):
        return name is None
    return len(name) <= LONGEST_NAME and "\0" not in name and not SURROGATES.search(name)


def asking_for(run_ids: Sequence[UUID]) -> str:
    """Return what asks workers to report changes of these runs for a while."""
    return _written({"watch": [run_id.hex for run_id in run_ids]})


def asked_for(payload: str) -> list[UUID]:
    """Return the runs whose changes a notification asks for."""
    match _parsed(payload):
        case {"watch": [*run_ids]}:
            return _ids(run_ids)
        case _:
            return []


def news_of(run_ids: Sequence[UUID]) -> str:
    """Return what says to watchers that these runs have changed."""
    return _written([run_id.hex for run_id in run_ids])


def with_news(payload: str) -> list[UUID]:
    """Return the runs that have changed, by a notification to watchers."""
    run_ids = _parsed(payload)
    return _ids(run_ids) if isinstance(run_ids, list) else []


def _parsed(payload: str) -> Any:
    """Return the value of a payload; None if it is not JSON."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _ids(given: Iterable[Any]) -> list[UUID]:
    """Return those of these that are ids."""
    return [UUID(run_id) for run_id in given if isinstance(run_id, str) and _is_id(run_id)]


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
