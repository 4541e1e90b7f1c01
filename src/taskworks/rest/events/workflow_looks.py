"""
When the workflows that the event streams of this process show are read, all by a few queries.

Nobody notifies of a workflow, so they are read once a second. To count the runs of a large one
takes longer than to read a run; then they are read less often.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from taskworks import real_time as time
from taskworks.actions import workflows_shown
from taskworks.rest.workflow_json import workflow_as_json
from taskworks.store import Store
from taskworks.store.statements import chunks

if TYPE_CHECKING:
    from taskworks.rest.events.hub import Hub

INTERVAL = 1.0  # seconds between two looks at all of them
MIN_REST = 9  # times as long as a look has taken, so that a tenth of the time is for looks at most


class WorkflowLooks:
    """Reads the workflows that have a stream."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._due = math.inf

    def look(self, store: Store) -> float:
        """Read what is due, or new; return when it is due again, by time.monotonic()."""
        new, watched = self._hub.take_new_workflows(), self._hub.watched_workflows
        began = time.monotonic()
        if not watched:
            self._due = math.inf
        elif self._due == math.inf or began >= self._due:
            self._read(store, watched)
            ended = time.monotonic()
            self._due = ended + max(INTERVAL, MIN_REST * (ended - began))
        elif new:
            self._read(store, [*new])
        return self._due

    def _read(self, store: Store, ids: Sequence[UUID]) -> None:
        found = [row for some in chunks(ids) for row in store.workflows.filter(id__in=some)]
        counts = workflows_shown.counts_of(store, found)
        shown = {row.id: workflow_as_json(row, counts[row.id]) for row in found}
        for workflow in ids:
            self._hub.publish(workflow, shown.get(workflow))
