"""Where the project's URLs include the REST API and the dashboard: anywhere, and several times."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, get_urlconf, reverse

# Views that every inclusion has once: of the REST API, and of the dashboard.
LIST_VIEW = "taskworks.rest.views.TaskList"
OVERVIEW = "taskworks.dashboard.overview.Overview"


def api_address(name: str, request: Any = None, **ids: Any) -> str | None:
    """
    Return the path of a view of the API by its name, such as ``task-list``.

    If the API is included several times, it is that inclusion which has most in common with the
    request's own namespaces and path. Return None if there is none that can be addressed.
    """
    return _nearest(inclusions() or [USUAL], name, request, ids)


def dashboard_address(request: Any = None) -> str | None:
    """Return the path of the dashboard's first page; likewise."""
    return _nearest(inclusions(OVERVIEW), "overview", request, {})


class Inclusion(NamedTuple):
    """One inclusion: its namespaces, and the names of what the URL captures before it."""

    namespaces: tuple[str, ...]
    captured: frozenset[str]


# A project may have views of its own there, under our names.
USUAL = Inclusion(("taskworks",), frozenset())


def inclusions(view: str = LIST_VIEW) -> Sequence[Inclusion]:
    """Return all inclusions of this view in the current URLconf, in its order."""
    return _inclusions_in(get_resolver(get_urlconf()), view)


@lru_cache(maxsize=100)
def _inclusions_in(resolver: URLResolver, view: str) -> Sequence[Inclusion]:
    return [*_below(resolver, view, Inclusion((), frozenset()))]


def _below(resolver: URLResolver, view: str, place: Inclusion) -> Iterator[Inclusion]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _below(pattern, view, _inside(pattern, place))
        elif isinstance(pattern, URLPattern) and pattern.lookup_str == view:
            yield place


def _inside(resolver: URLResolver, place: Inclusion) -> Inclusion:
    own = (resolver.namespace,) if resolver.namespace else ()
    pattern: Any = resolver.pattern
    return Inclusion((*place.namespaces, *own), place.captured | {*pattern.regex.groupindex})


def _nearest(
    included: Sequence[Inclusion], name: str, request: Any, ids: dict[str, Any]
) -> str | None:
    found = [
        (_nearness(inclusion, address, request), address)
        for inclusion in included
        if (address := _address(inclusion, name, request, ids)) is not None
    ]
    return max(found, key=lambda each: each[0])[1] if found else None


def _address(inclusion: Inclusion, name: str, request: Any, ids: dict[str, Any]) -> str | None:
    match = getattr(request, "resolver_match", None)
    captured = match.kwargs if match else {}
    before = {name: value for name, value in captured.items() if name in inclusion.captured}
    try:
        return reverse(":".join((*inclusion.namespaces, name)), kwargs={**before, **ids})
    except NoReverseMatch:
        return None


def _nearness(inclusion: Inclusion, address: str, request: Any) -> tuple[int, int, bool]:
    match = getattr(request, "resolver_match", None)
    return (
        _in_common(inclusion.namespaces, match.namespaces if match else ()),
        _in_common(address.split("/"), getattr(request, "path", "").split("/")),
        inclusion.namespaces == USUAL.namespaces,
    )


def _in_common(some: Sequence[str], others: Sequence[str]) -> int:
    """Return how many items are the same from the beginning on."""
    return next(
        (n for n, pair in enumerate(zip(some, others, strict=False)) if pair[0] != pair[1]),
        min(len(some), len(others)),
    )
