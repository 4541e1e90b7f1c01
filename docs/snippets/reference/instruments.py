from collections.abc import Iterator
from contextlib import contextmanager

from taskworks import instruments
from taskworks.instruments import EnqueuedRuns, ExecutedAttempt, Instrument


class Tenant(Instrument):
    """Brings the tenant of a request to the attempts of its runs."""

    name = "tenant"
    current = ""

    @contextmanager
    def enqueuing(self, runs: EnqueuedRuns) -> Iterator[None]:
        runs.carry(self.name, {"id": Tenant.current})
        yield

    @contextmanager
    def executing(self, attempt: ExecutedAttempt) -> Iterator[None]:
        tenant = attempt.carried(self.name).get("id")
        yield
        print(f"{attempt.task} of {tenant}: {attempt.outcome}")


instruments.add(Tenant())
