"""The addresses of our pages, in whatever namespace and below whatever prefix they are included."""

from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode

NAMESPACE = "taskworks_dashboard"
DATABASE = "database"  # the namespace of the pages of a database that is named, and what names it


def address(request: HttpRequest, name: str, *ids: Any, **query: Any) -> str:
    """
    Return the address of a page, in the inclusion that the request is for, and of its database; ""
    if there is no such page. Values of the query that are None or "" are left out.
    """
    match = request.resolver_match
    namespace = match.namespace if match else NAMESPACE
    database = match.kwargs.get(DATABASE) if match else None
    path = _path(namespace, name, *([database] if database else []), *ids)
    if not path:
        return ""
    given = {key: value for key, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def address_of_database(request: HttpRequest, alias: str | None) -> str:
    """Return the address of the first page of a database; None is that which is not named."""
    match = request.resolver_match
    namespace = (match.namespace if match else NAMESPACE).removesuffix(f":{DATABASE}")
    if alias is None:
        return _path(namespace, "overview")
    return _path(f"{namespace}:{DATABASE}", "overview", alias)


def _path(namespace: str, name: str, *args: Any) -> str:
    try:
        return reverse(f"{namespace}:{name}", args=args)
    except NoReverseMatch:
        return ""
