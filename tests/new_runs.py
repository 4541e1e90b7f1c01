"""Runs for the store, without a task's backend."""

import json
import math
from datetime import datetime, timedelta
from typing import Any

from taskworks.models import TaskRun
from taskworks.options.policy import Policy
from taskworks.store import Store
from taskworks.store import store as store_of
from taskworks.store.new_runs import NewRuns, Template

NOOP = {"backend": "default", "queue_name": "default", "task_path": "tests.tasks.noop"}


def new_runs(
    count: int = 1,
    *,
    run_after: datetime | timedelta | None = None,
    expires: float = math.inf,
    arguments: list[list[Any]] | None = None,
    kwargs: dict[str, Any] | None = None,
    lanes: list[str] | None = None,
    **columns: Any,
) -> NewRuns:
    """As many runs that can be enqueued together; ``arguments`` has the args of each."""
    template = Template({**NOOP, "metadata": {}, **columns}, Policy(expires=expires))
    arguments = arguments or [[]] * (len(lanes) if lanes else count)
    texts = [(json.dumps(args), json.dumps(kwargs or {})) for args in arguments]
    return NewRuns(template, texts, run_after, lanes)


def stored(new: NewRuns, store: Store | None = None) -> TaskRun:
    """The row of the first of these runs."""
    return (store or store_of()).runs.get(id=new.uuids[0])
