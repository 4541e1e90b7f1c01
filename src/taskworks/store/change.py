"""What one statement writes of many runs: shared values once, the others row by row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from taskworks.models import RunState, TaskRun
from taskworks.store.rows import Convert

KEY = ("id", "claim_token")
# Columns in which 1 and True compare equal, but must be stored as they are.
COMPARED_AS_JSON = ("return_value", "metadata")
# Columns that belong to a claim, and end with it.
CLAIM_COLUMNS = ("claimed_by", "claim_token", "target", "progress")
# States that stand even if the run's cancellation was requested.
STANDING_STATES = (RunState.SUCCESSFUL, RunState.CANCELLED)

Writer = Callable[[str], Convert]  # of a column's name, for its values


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    New values of some runs, each to be written only where id, token and state are as expected.

    In SQL the runs are called ``run``, and the values of each run's own ``new``.
    """

    shared: dict[str, Any]
    own: list[str]
    rows: list[tuple[Any, ...]]
    guard: Sequence[RunState]
    forgets_claim: bool
    heeds_cancel: bool  # of a run to be cancelled, only a standing state is written

    def settings(self, table: str = "") -> str:
        """Return what follows SET; ``table`` is put before each column's name."""
        return ", ".join(
            [f"{table}{name} = %s" for name in self.shared if name not in KEY]
            + [f"{table}{name} = new.{name}" for name in self.own if name not in KEY]
            + ([f"{table}{name} = NULL" for name in CLAIM_COLUMNS] if self.forgets_claim else [])
        )

    @property
    def values(self) -> list[Any]:
        """The parameters of ``settings``."""
        return [value for name, value in self.shared.items() if name not in KEY]

    def condition(self, state: str = "run.state") -> str:
        """Return the condition, besides the id, of rows that are still ours; ``state`` is SQL."""
        token = "%s" if "claim_token" in self.shared else "new.claim_token"
        states = ", ".join(f"'{state.value}'" for state in self.guard)
        return f"run.claim_token = {token} AND {state} IN ({states}){self._heed}"

    @property
    def token(self) -> list[Any]:
        """The parameters of ``condition``."""
        return [self.shared["claim_token"]] if "claim_token" in self.shared else []

    @property
    def _heed(self) -> str:
        if not self.heeds_cancel or self.shared.get("state") in STANDING_STATES:
            return ""
        nobody_asked = "run.cancel_requested_at IS NULL"
        if "state" in self.shared:
            return f" AND {nobody_asked}"
        stands = ", ".join(f"'{state.value}'" for state in STANDING_STATES)
        return f" AND ({nobody_asked} OR new.state IN ({stands}))"


def change_of(
    runs: Sequence[TaskRun],
    columns: Sequence[str],
    writer: Writer,
    *,
    guard: Sequence[RunState],
    forgets_claim: bool = False,
    heeds_cancel: bool = False,
) -> Change:
    """Return the change that writes the values of these runs in these columns."""
    shared: dict[str, Any] = {}
    own: dict[str, list[Any]] = {}
    for name in (*KEY, *columns):
        values, write = [getattr(run, name) for run in runs], writer(name)
        if name in COMPARED_AS_JSON:
            values, write = _each(values, write), _as_it_is
        if name != "id" and values.count(values[0]) == len(values):
            [shared[name]] = _each(values[:1], write)
        else:
            own[name] = _each(values, write)
    return Change(
        shared=shared,
        own=list(own),
        rows=list(zip(*own.values(), strict=True)),
        guard=guard,
        forgets_claim=forgets_claim,
        heeds_cancel=heeds_cancel,
    )


def _each(values: list[Any], write: Convert) -> list[Any]:
    return [value if value is None else write(value) for value in values]


def _as_it_is(value: Any) -> Any:
    return value
