"""Has instruments surround the storing of runs, which then carry what these give them."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

from taskworks import instruments
from taskworks.instruments import EnqueuedRuns
from taskworks.store.new_runs import NewRuns


@contextmanager
def seen(new: NewRuns) -> Iterator[None]:
    """Surround the storing of new runs."""
    columns = new.template.columns
    runs = EnqueuedRuns(
        ids=[str(run_id) for run_id in new.uuids],
        task=columns.get("callable_path") or columns["task_path"],
        queue_name=columns["queue_name"],
        backend=columns["backend"],
        sizes=[len(args) + len(kwargs) for args, kwargs in new.texts],
        metadata=MappingProxyType(columns["metadata"]),
    )
    with instruments.enqueuing(runs):
        if any(runs.carried):
            new.carried = runs.carried
        yield
