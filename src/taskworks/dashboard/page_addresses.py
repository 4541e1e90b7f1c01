"""The addresses of our pages, in whatever namespace and below whatever prefix they are included."""

from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode

NAMESPACE = "taskworks_dashboard"


def address(request: HttpRequest, name: str, *ids: Any, **query: Any) -> str:
    """
    Return the address of a page, in the inclusion that the request is for; "" if there is no such
    page. Values of the query that are None or "" are left out.
    """
    match = request.resolver_match
    namespace = match.namespace if match else NAMESPACE
    try:
        path = reverse(f"{namespace}:{name}", args=ids)
    except NoReverseMatch:
        return ""
    given = {key: value for key, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path
