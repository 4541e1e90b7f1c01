"""``{% load taskworks %}``: the browser client on a page, and the progress of a run."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http.request import HttpHeaders
from django.template import Context, Library, TemplateSyntaxError
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString

from taskworks.conf import nearest

register = Library()

# Those of the client that a page may set; what it is told of the project it is told below.
OPTIONS = (
    "baseURL",
    "corsMode",
    "events",
    "maxStreams",
    "pollInterval",
    "maxPollInterval",
    "requestTimeout",
    "streamStart",
    "streamTimeout",
    "patience",
    "texts",
)


@register.simple_tag(takes_context=True)
def taskworks_client(context: Context, **options: Any) -> SafeString:
    """The client's module, and what it has to know of this project, once on a page.

    Rendered for a request, it also sees to it that the browser has a CSRF token. ``options`` are
    the client's; raise TemplateSyntaxError for one that it has not.
    """
    for name in options:
        if name not in OPTIONS:
            raise TemplateSyntaxError(
                f"{name!r} is no option of the client.{nearest(name, [*OPTIONS])}"
            )
    return format_html(
        '{}\n<script type="module" src="{}"></script>',
        json_script(_of_the_project(context, options) | options, "taskworks-options"),
        static("taskworks/taskworks.js"),
    )


@register.simple_tag
def taskworks_progress(run: Any, label: str = "", *, can_cancel: bool = True) -> SafeString:
    """A live progress bar of a run, its messages, and a button to cancel it.

    ``run`` is a result, a row of the record, or an id; None if there is none yet. The page needs
    ``{% taskworks_client %}``.
    """
    return format_html(
        '<taskworks-progress run="{}"{}{}></taskworks-progress>',
        "" if run is None else getattr(run, "id", run),
        format_html(' label="{}"', label) if label else "",
        "" if can_cancel else format_html(" {}", "no-cancel"),
    )


def _of_the_project(context: Context, given: dict[str, Any]) -> dict[str, str]:
    options = {
        "baseURL": given.get("baseURL") or _base_url(),
        "csrfCookieName": settings.CSRF_COOKIE_NAME,
        "csrfHeaderName": HttpHeaders.parse_header_name(settings.CSRF_HEADER_NAME),
    }
    # Making it a string is what has the middleware send the cookie.
    token = str(context.get("csrf_token", ""))
    if settings.CSRF_USE_SESSIONS or settings.CSRF_COOKIE_HTTPONLY:
        options["csrfToken"] = token
    return {name: value for name, value in options.items() if value}


def _base_url() -> str:
    try:
        return reverse("taskworks:task-list")
    except NoReverseMatch as problem:
        raise ImproperlyConfigured(
            "{% taskworks_client %} found no REST API that the client could call: add "
            'path("api/", include("taskworks.rest.urls")) to the project\'s urlpatterns.'
        ) from problem
