"""
Where several databases have runs, the admin shows the first one, and says so. It also says if a
database does not answer, instead of failing.
"""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.translation import gettext as _

from taskworks.addresses import dashboard_address
from taskworks.admin.change_lists import CarefulChangeList
from taskworks.backends.shards import Failing, databases
from taskworks.database.answers import Fault, fault_of
from taskworks.logs import steady_logger
from taskworks.store import store_alias

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

logger = steady_logger(__name__)

DOES_NOT_ANSWER = (OperationalError, InterfaceError)


class OneDatabase(_ModelAdmin):
    """Shows rows of one database, and says above a list of which, and what does not answer."""

    @property
    def urls(self) -> list[URLPattern]:
        """All views of this model, also those of subclasses."""
        patterns: list[URLPattern] = self.get_urls()
        for pattern in patterns:
            pattern.callback = self._or_a_sentence(pattern.callback)
        return patterns

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows, from no replica, which may not have the last change."""
        return super().get_queryset(request).using(store_alias())

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[CarefulChangeList]:
        return CarefulChangeList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        if len(databases()) > 1 and request.method == "GET":
            said = _("This list is that of the database %(shown)s.")
            messages.info(request, _of_several(request, said), fail_silently=True)
        return super().changelist_view(request, extra_context)

    def tell_of_failing(self, request: HttpRequest, failing: Failing) -> None:
        """Tell the user in which databases nothing was done, and why."""
        for alias, error in failing.items():
            self.message_user(request, not_done(alias, error), messages.WARNING)

    def _or_a_sentence(self, view: Callable[..., Any]) -> Callable[..., Any]:
        """Return the view, with a page that says so if the database does not answer in time."""

        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **ids: Any) -> Any:
            try:
                return view(request, *args, **ids)
            except DOES_NOT_ANSWER as error:
                if page := self._page_instead(request, error):
                    logger.warning("A page of the admin could not be shown: %s", error)
                    return page
                raise

        return answer

    def _page_instead(self, request: HttpRequest, error: DatabaseError) -> HttpResponse | None:
        match fault_of(error):
            case Fault.FAILED:
                return None
            case Fault.LATE:
                said = _("The database has given up a statement. Try again, or look for less.")
                return self._page(request, _("This takes too long"), said)
            case Fault.SILENT:
                said = _("Load this page again when it does.")
                return self._page(request, _("The database does not answer"), said)

    def _page(self, request: HttpRequest, title: str, said: str) -> HttpResponse | None:
        """Return a page for the admin's site; None if that needs the same database."""
        try:
            context = self.admin_site.each_context(request)
        except DatabaseError:
            return None
        shown = _("This page is that of the database %(shown)s.")
        context |= {
            "title": title,
            "said": said,
            "others": _of_several(request, shown) if len(databases()) > 1 else "",
        }
        template = "admin/taskworks/does_not_answer.html"
        return TemplateResponse(request, template, context, status=503)


def not_done(alias: str, error: DatabaseError) -> str:
    """Return that nothing was done in a database, and why."""
    if fault_of(error) is not Fault.SILENT:
        said = _(
            "In the database %(alias)s this has failed, and nothing was done there: %(error)s "
            "Repeat this when the cause is fixed."
        )
    else:
        said = _(
            "The database %(alias)s does not answer, and nothing was done there. Repeat this when "
            "it does."
        )
    return said % {"alias": alias, "error": str(error).strip()}


def does_not_answer(error: DatabaseError) -> str:
    """
    Return, for the field of a form, that a database must answer first. Raise the error if that has
    answered with it.
    """
    if fault_of(error) is Fault.FAILED:
        raise error
    return _("A database that has to be asked does not answer: %(error)s") % {"error": error}


def _of_several(request: HttpRequest, said: str) -> str:
    """Return the sentence with the name of what is shown, and where the others are, if anywhere."""
    shown, *others = databases()
    sentences = [said % {"shown": shown}]
    if dashboard_address(request):
        sentences.append(_("The dashboard shows %(others)s.") % {"others": ", ".join(others)})
    return " ".join(sentences)
