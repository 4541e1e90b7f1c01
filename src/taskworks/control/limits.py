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
    Change the numbers that are given of a limit, for all workers, and return its row; None is no
    limit, or the usual burst. A number holds, also after deploys and restarts, until code or
    settings declare another one in its place. What runs goes on if there are too many of them now;
    nothing more begins until there are not.

    Raise ValueError for a number that ``Limit`` would refuse, and for a limit that nobody declares.
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
