"""
Where several databases have runs, the admin shows the first one, and says so. It also says if a
database does not answer, instead of failing.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.translation import gettext as _

from taskworks.backends.shards import databases
from taskworks.logs import steady_logger

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

logger = steady_logger(__name__)

DOES_NOT_ANSWER = (OperationalError, InterfaceError)


class OneDatabase(_ModelAdmin):
    """Says above a list from which database it is, and what does not answer."""

    @property
    def urls(self) -> list[URLPattern]:
        """All views of this model, also those of subclasses."""
        patterns: list[URLPattern] = self.get_urls()
        for pattern in patterns:
            pattern.callback = self._or_a_sentence(pattern.callback)
        return patterns

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        known = databases()
        if len(known) > 1 and request.method == "GET":
            said = _("This list is that of the database %(shown)s. The dashboard shows %(others)s.")
            messages.info(request, said % _names(known), fail_silently=True)
        return super().changelist_view(request, extra_context)

    def tell_of_silent(self, request: HttpRequest, silent: Iterable[str]) -> None:
        """Tell the user in which databases nothing was done, because they do not answer."""
        for alias in silent:
            said = _(
                "The database %(alias)s does not answer, and nothing was done there. Do the same "
                "again when it does."
            )
            self.message_user(request, said % {"alias": alias}, messages.WARNING)

    def _or_a_sentence(self, view: Callable[..., Any]) -> Callable[..., Any]:
        """Return the view, with a page that says so if the database does not answer."""

        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **ids: Any) -> Any:
            try:
                return view(request, *args, **ids)
            except DOES_NOT_ANSWER as error:
                logger.warning("A page of the admin could not be shown: %s", error)
                if page := self._page_of_silence(request):
                    return page
                raise

        return answer

    def _page_of_silence(self, request: HttpRequest) -> HttpResponse | None:
        """Return a page for the admin's site; None if that needs the same database."""
        try:
            context = self.admin_site.each_context(request)
        except DatabaseError:
            return None
        known = databases()
        others = _("This page is that of the database %(shown)s. The dashboard shows %(others)s.")
        context |= {
            "title": _("The database does not answer"),
            "said": _("Load this page again when it does."),
            "others": others % _names(known) if len(known) > 1 else "",
        }
        template = "admin/taskworks/does_not_answer.html"
        return TemplateResponse(request, template, context, status=503)


def does_not_answer(error: Exception) -> str:
    """Return, for the field of a form, that a database must answer first."""
    return _("A database that has to be asked does not answer: %(error)s") % {"error": error}


def _names(known: list[str]) -> dict[str, str]:
    return {"shown": known[0], "others": ", ".join(known[1:])}
