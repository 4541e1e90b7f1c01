"""What a messenger is told of runs."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from taskworks.database.messengers import ReadyRun
from taskworks.models import TaskRun
from taskworks.store.new_runs import NewRuns


def ready(runs: NewRuns | Sequence[TaskRun]) -> Iterator[ReadyRun]:
    """Yield what is told of each of these runs."""
    if isinstance(runs, NewRuns):
        for place, run_id in enumerate(runs.ids):
            yield ReadyRun(UUID(int=run_id), runs.metadata(place))
        return
    for run in runs:
        metadata = vars(run).get("metadata")  # which is not read for this
        yield ReadyRun(run.id, metadata if isinstance(metadata, dict) else {})
