"""Labels of metrics: what can be written, and each combination once."""

from collections.abc import Iterable, Mapping

from taskworks.conf import conf
from taskworks.jsonvalue import printable
from taskworks.statistics.reading import Key
from taskworks.statistics.tally import Tally

ALL = "(all)"  # in place of the names of what is counted together
QUEUE = ("backend", "queue")
QUEUE_AND_TASK = (*QUEUE, "task")

Labels = tuple[str, ...]


def clean(values: Iterable[str]) -> Labels:
    """Return values for labels. Prometheus's format escapes quotes and line breaks itself."""
    return tuple(map(printable, values))


def names_of_series() -> Labels:
    """Return the names of the labels of what is counted."""
    return QUEUE_AND_TASK if conf().metrics_task_label else QUEUE


def by_labels(tallies: Mapping[Key, Tally]) -> dict[Labels, Tally]:
    """Return tallies by the values of their labels; those that have the same are added."""
    number = len(names_of_series())
    added: dict[Labels, Tally] = {}
    for key, tally in tallies.items():
        added.setdefault(clean(key[:number]), Tally()).add(tally)
    return added


def narrowed(tallies: dict[Labels, Tally], most: int) -> dict[Labels, Tally]:
    """
    Return at most ``most`` tallies, and one for each backend: if there are more, all tasks of a
    queue are counted together, and if there still are, all queues of a backend. As what was counted
    once stays, none of them ever falls: one that is not told apart any more is not there.
    """
    for kept in range(len(names_of_series()), 1, -1):
        if len(tallies) <= most:
            break
        added: dict[Labels, Tally] = {}
        for labels, tally in tallies.items():
            together = (*labels[: kept - 1], *[ALL] * (len(labels) - kept + 1))
            added.setdefault(together, Tally()).add(tally)
        tallies = added
    return tallies
