"""Arguments that stand for what an earlier part of a chain has returned, and are read in time."""

from collections.abc import Sequence
from typing import Any

from asgiref.sync import sync_to_async

from taskworks.celery.values import ResultOf, decoded
from taskworks.context import current_context


def with_results(args: Sequence[Any]) -> Sequence[Any]:
    """Return the arguments, with results in the place of the first if it stands for some."""
    if not args or not _stands_for_results(args[0]):
        return args
    return [_read(args[0]), *args[1:]]


async def awith_results(args: Sequence[Any]) -> Sequence[Any]:
    """See with_results()."""
    if not args or not _stands_for_results(args[0]):
        return args
    return await sync_to_async(with_results)(args)


def _stands_for_results(value: Any) -> bool:
    if isinstance(value, list):  # one for each part of a group
        return bool(value) and all(map(_stands_for_results, value))
    return isinstance(value, ResultOf)


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(one) for one in value]
    context = current_context()
    workflow = context.workflow if context else None
    if workflow is None:
        raise ValueError(
            f"The argument {value!r} stands for the result of a step, and this run is not one of a "
            "workflow."
        )
    if value.several:
        return [decoded(one) for one in workflow.results(value.step)]
    return decoded(workflow.result(value.step))
