"""What a worker's row says of it, for people and for others that ask who takes a run."""

import platform
from collections.abc import Mapping
from typing import Any

from taskworks.memory import resident_bytes
from taskworks.options.policy import ASYNC, PROCESS, THREAD
from taskworks.release import release, version
from taskworks.worker.claiming.queues import Queues
from taskworks.worker.pools import Sizes


def lasting_facts(backend: str, queues: Queues, sizes: Sizes) -> dict[str, Any]:
    """Return the columns that it registers with, most of which stay as they are."""
    return {
        "backend": backend,
        "queues": _names_of(queues),
        "excluded_queues": sorted(queues.excluded),
        "slots": slots_of(sizes),
        "version": version(),
        "release": release(),
        "python": platform.python_version()[:32],
    }


def passing_facts(queues: Queues, sizes: Sizes, empty: Mapping[str, int]) -> dict[str, Any]:
    """Return the columns that each heartbeat writes; ``empty`` are the empty slots by lane."""
    slots = slots_of(sizes)
    busy = sum(number - empty.get(executor, number) for executor, number in slots.items())
    facts = {"busy": max(0, busy), "memory": resident_bytes()}
    return {**facts, "queues": _names_of(queues)} if queues.may_change else facts


def _names_of(queues: Queues) -> list[str] | None:
    return None if queues.names is None else [*queues.names]


def slots_of(sizes: Sizes) -> dict[str, int]:
    """Return how many runs are executed at once, by executor."""
    slots = {THREAD: sizes.threads, ASYNC: sizes.async_slots, PROCESS: sizes.task_processes}
    return {executor: number for executor, number in slots.items() if number}
