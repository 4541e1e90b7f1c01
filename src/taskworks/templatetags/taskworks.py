"""``{% load taskworks %}``: tags for the browser client, and the progress of a run or workflow."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http.request import HttpHeaders
from django.template import Context, Library, TemplateSyntaxError
from django.templatetags.static import static
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString

from taskworks.addresses import api_address
from taskworks.conf import nearest

register = Library()

# The client's options that a page may set. Those that depend on the project are set below.
OPTIONS = (
    "baseURL",
    "headers",
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
    """
    Render the client's script and its options; use it once per page.

    If it is rendered with a request, the browser also gets a CSRF cookie. ``options`` are those of
    the client; raise TemplateSyntaxError for an unknown one.
    """
    for name in options:
        if name not in OPTIONS:
            raise TemplateSyntaxError(
                f"The client has no option {name!r}.{nearest(name, [*OPTIONS])}"
            )
    return format_html(
        '{}\n<script type="module" src="{}"></script>',
        json_script(_of_the_project(context, options) | options, "taskworks-options"),
        static("taskworks/taskworks.js"),
    )


@register.simple_tag
def taskworks_progress(
    run: Any = None, label: str = "", *, workflow: Any = None, can_cancel: bool = True
) -> SafeString:
    """
    Render a live progress bar of a run, its messages, and a button to cancel it.

    ``run`` is a result, a ``TaskRun`` or an id; None if there is no run yet. With ``workflow``, a
    result or an id, it is that of a workflow. The page needs ``{% taskworks_client %}``.
    """
    watched = run if workflow is None else workflow
    return format_html(
        '<taskworks-progress {}="{}"{}{}></taskworks-progress>',
        "run" if workflow is None else "workflow",
        "" if watched is None else getattr(watched, "id", watched),
        format_html(' label="{}"', label) if label else "",
        "" if can_cancel else format_html(" {}", "no-cancel"),
    )


def _of_the_project(context: Context, given: dict[str, Any]) -> dict[str, str]:
    options = {
        "baseURL": given.get("baseURL") or _base_url(context),
        "csrfCookieName": settings.CSRF_COOKIE_NAME,
        "csrfHeaderName": HttpHeaders.parse_header_name(settings.CSRF_HEADER_NAME),
    }
    # Converting it to a string makes the middleware send the cookie.
    token = str(context.get("csrf_token", ""))
    if settings.CSRF_USE_SESSIONS or settings.CSRF_COOKIE_HTTPONLY:
        options["csrfToken"] = token
    return {name: value for name, value in options.items() if value}


def _base_url(context: Context) -> str:
    address = api_address("task-list", context.get("request"))
    if address is None:
        raise ImproperlyConfigured(
            "{% taskworks_client %} needs the address of the REST API. Add "
            'path("api/", include("taskworks.rest.urls")) to the project\'s urlpatterns. If '
            "what is before it captures values that the page's own address does not have, give "
            "the tag the address: {% taskworks_client baseURL=... %}."
        )
    return address
