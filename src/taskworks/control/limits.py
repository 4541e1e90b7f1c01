"""Change the numbers of a limit."""

from types import EllipsisType
from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from taskworks.models import Limit


def change_limit(
    name: str,
    *,
    at_once: int | EllipsisType | None = ...,
    total: int | EllipsisType | None = ...,
    rate: str | EllipsisType | None = ...,
    burst: int | EllipsisType | None = ...,
    total_rate: str | EllipsisType | None = ...,
    total_burst: int | EllipsisType | None = ...,
) -> "Limit":
    """
    Change the given numbers of a limit, for all workers, and return its row; None means no limit,
    or the default burst. A number stays in force, also after deploys and restarts, until the number
    that code or settings declare changes. If too many runs have begun by now, they continue, and no
    more begin until there are few enough.

    Raise ValueError for a number that ``Limit`` would refuse, and for a limit that is not declared.
    """
    from taskworks.actions import limits

    given = {
        "at_once": at_once,
        "total": total,
        "rate": rate,
        "burst": burst,
        "total_rate": total_rate,
        "total_burst": total_burst,
    }
    return limits.change(
        name, {n: value for n, value in given.items() if not isinstance(value, EllipsisType)}
    )


async def achange_limit(
    name: str,
    *,
    at_once: int | EllipsisType | None = ...,
    total: int | EllipsisType | None = ...,
    rate: str | EllipsisType | None = ...,
    burst: int | EllipsisType | None = ...,
    total_rate: str | EllipsisType | None = ...,
    total_burst: int | EllipsisType | None = ...,
) -> "Limit":
    """See change_limit()."""
    return await sync_to_async(change_limit)(
        name,
        at_once=at_once,
        total=total,
        rate=rate,
        burst=burst,
        total_rate=total_rate,
        total_burst=total_burst,
    )
