"""What our views share: who may open them, what they answer, and what each page has."""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, ClassVar

from django.conf import global_settings, settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connections
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views import View
from django.views.decorators.csrf import csrf_protect

from taskworks.actions import audit, bulk_run
from taskworks.actions.audit import Actor
from taskworks.actions.verbs import Action as BulkAction
from taskworks.actions.verbs import Verb
from taskworks.dashboard import databases_shown, navigation
from taskworks.dashboard.access import Access, Action
from taskworks.dashboard.databases_shown import Tab
from taskworks.dashboard.headers import add_headers, nonce_of
from taskworks.dashboard.page_addresses import DATABASE, address
from taskworks.dashboard.rendering import render
from taskworks.database.answers import Fault, fault_of
from taskworks.database.shards import using
from taskworks.database.time_limit import TookTooLong
from taskworks.exceptions import InvalidTaskBackend
from taskworks.filtering import RunFilter
from taskworks.logs import steady_logger

logger = steady_logger(__name__)

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """What was asked for is not done; the text says why, for the person who has asked."""


# What actions raise for what cannot be done; their texts are for people.
REFUSALS = (Refused, InvalidTaskBackend, NotImplementedError, TypeError, ValueError)


class DashboardView(View):
    """
    A view of ours. It decides alone who may open it, checks the CSRF token of each POST, and turns
    an outage of the database into a page that says so; whatever the project's middleware does.
    """

    action: ClassVar[Action] = Action.SEE  # what the user must be allowed to do
    access: Access

    @classmethod
    def as_view(cls, **options: Any) -> Any:
        view: Any = super().as_view(**options)
        view.login_required = False  # of Django's LoginRequiredMiddleware: see _refusal
        # Each read has a short transaction of its own, and each action too.
        view._non_atomic_requests = {*connections}
        return view

    @method_decorator(csrf_protect)
    def dispatch(self, request: HttpRequest, *args: Any, **ids: Any) -> HttpResponseBase:
        self.access = Access(request)
        self._database = ids.pop(DATABASE, None)
        with using(databases_shown.meant(self._database)):
            return add_headers(self._answer(request, *args, **ids))

    def record(self, row: Any, what: str) -> None:
        """Note in the audit that the user has done this to a row, or to rows of a model."""
        audit.record_of(self.actor, row, what)

    def tell(self, text: str, *, is_error: bool = False) -> None:
        """Show the user this on the next page."""
        add = messages.error if is_error else messages.success
        add(self.request, text, fail_silently=True)

    def in_background(self, verb: Verb, meant: RunFilter) -> str:
        """Start a run that does this to all runs of the filter; return a sentence that says so."""
        started = bulk_run.start(BulkAction(verb), meant, by=self.actor)
        return _("This is done in the background, by the run %(run)s. Cancel it to stop.") % {
            "run": started.id
        }

    @property
    def actor(self) -> Actor:
        """Who acts, for the record: nobody's name if the project lets anybody in."""
        user = getattr(self.request, "user", None)
        return audit.actor_of(user) if user is not None and user.is_authenticated else Actor()

    def address(self, name: str, *ids: Any, **query: Any) -> str:
        """Return the address of a page of this dashboard; see ``page_addresses.address``."""
        return address(self.request, name, *ids, **query)

    @property
    def zone(self) -> str:
        """The name of the time zone in which times are shown."""
        return timezone.get_current_timezone_name()

    @property
    def is_fragment(self) -> bool:
        """Whether the script asks for the live part of a page."""
        return "HX-Request" in self.request.headers

    def _answer(self, request: HttpRequest, *args: Any, **ids: Any) -> HttpResponse:
        try:
            if refusal := self._refusal(request):
                return refusal
            databases_shown.refuse_unknown(self._database)
            return super().dispatch(request, *args, **ids)  # type: ignore[return-value]
        except PermissionDenied as denied:
            return self._problem(403, _("You may not do this"), str(denied))
        except Http404 as missing:
            return self._problem(404, _("There is no such page"), str(missing))
        except TookTooLong as error:
            return self._problem(503, _("This takes too long"), str(error))
        except (OperationalError, InterfaceError) as error:
            return self._problem_of_database(error)

    def _problem_of_database(self, error: DatabaseError) -> HttpResponse:
        fault = fault_of(error)
        if fault is Fault.FAILED:
            raise error
        logger.warning("The dashboard could not be shown: %s", error)
        if fault is Fault.LATE:
            return self._problem(503, _("This takes too long"), _(GIVEN_UP))
        return self._problem(503, _("The database does not answer"), _(OUTAGE))

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        """Return what to answer instead if the user may not open this."""
        if self.access.may(self.action):
            return None
        if self.access.is_known:
            return self._problem(403, _("You may not see this page"), _(NOT_ALLOWED))
        if self.is_fragment or request.method not in ("GET", "HEAD"):
            return self._problem(403, _("You are not signed in"), _(SIGNED_OUT))
        return redirect_to_login(request.get_full_path(), login_address())

    def _problem(self, status: int, title: str, text: str) -> HttpResponse:
        # Where there is one database, nothing on this page needs it.
        context = {
            "title": title,
            "text": text,
            "nonce": nonce_of(self.request),
            "home": databases_shown.home(self.request),
            "databases": self._databases_for_who_may_see_them(),
        }
        return HttpResponse(render("problem.html", context, self.request), status=status)

    def _databases_for_who_may_see_them(self) -> list[Tab]:
        tabs = databases_shown.tabs(self.request)
        try:
            return tabs if tabs and self.access.may(Action.SEE) else []
        except (DatabaseError, PermissionDenied, Http404):  # of which this page may be about
            return []


# Marked for translation here, and translated when they are shown.
OUTAGE = gettext_noop(
    "The page works again as soon as the database does: it tries again by itself."
)
GIVEN_UP = gettext_noop("The database has given up a statement. Try again, or look for less.")
NOT_ALLOWED = gettext_noop(
    "You need to be staff, and to have the permission for it. Ask whoever manages the users of "
    "this site."
)
SIGNED_OUT = gettext_noop("Sign in, and try again.")


def login_address() -> str:
    """Return where to sign in: LOGIN_URL if the project has set it, else the admin's page."""
    if settings.LOGIN_URL == global_settings.LOGIN_URL:
        try:
            return reverse("admin:login")
        except NoReverseMatch:
            pass
    return str(settings.LOGIN_URL)


class Page(DashboardView):
    """
    A page. ``template`` extends base.html. Its part that changes is ``live_template``, which the
    script gets again and again, from the same address; "" if there is none.
    """

    entry: ClassVar[str] = ""  # of the navigation, by the name of its URL
    template: ClassVar[str]
    live_template: ClassVar[str] = ""

    def title(self) -> str:
        """Return the title, which is also the heading."""
        raise NotImplementedError

    def context(self, **ids: Any) -> Mapping[str, Any]:
        """Return what the templates need; raise Http404, or Refused to say why not."""
        return {}

    def get(self, request: HttpRequest, **ids: Any) -> HttpResponse:
        context = {**self.common_context(), **self.context(**ids)}
        if self.is_fragment and self.live_template:
            return self._unless_known(render(self.live_template, context, request))
        # The title may come from what context() has found.
        whole = {**context, **self._context_of_pages()}
        return HttpResponse(render(self.template, whole, request))

    def common_context(self) -> dict[str, Any]:
        """Return what every template may use."""
        return {"may": May(self.access), "view": self}

    def _context_of_pages(self) -> dict[str, Any]:
        return {
            "title": self.title(),
            "entries": navigation.entries(self.request, self.access, self.entry),
            "databases": databases_shown.tabs(self.request),
            "messages": messages.get_messages(self.request),
            "nonce": nonce_of(self.request),
            "live_template": self.live_template,
        }

    def _unless_known(self, text: str) -> HttpResponse:
        """Return the text, or only that it is what the script has got before."""
        tag = f'"{self._digest_of(text)}"'
        known = self.request.headers.get("If-None-Match") == tag
        response = HttpResponse(status=304) if known else HttpResponse(text)
        response["ETag"] = tag
        return response

    def _digest_of(self, text: str) -> str:
        """Return what tells a text from others, whatever tokens its forms have."""
        secret = str(self.request.META.get("CSRF_COOKIE", ""))
        return sha256((TOKEN.sub("", text) + secret).encode()).hexdigest()[:32]


class May:
    """``{% if may.retry %}``: whether the user may do that at all."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def __getitem__(self, name: str) -> bool:
        return self._access.may(Action(name))


class ActionView(DashboardView):
    """
    What a form posts to. ``act`` does it, and the person is shown the page that ``next`` names, or
    the one called ``leads_to``, with the sentence that ``act`` returns.
    """

    http_method_names: ClassVar[list[str]] = ["post"]  # type: ignore[misc]
    leads_to: ClassVar[str] = "overview"

    def act(self, **ids: Any) -> str:
        """Do it, and return what was done; raise Refused to say why nothing was."""
        raise NotImplementedError

    def post(self, request: HttpRequest, **ids: Any) -> HttpResponse:
        try:
            done = self.act(**ids)
        except REFUSALS as refused:
            self.tell(str(refused), is_error=True)
        else:
            self.tell(done)
        return HttpResponseRedirect(self._next())

    def _next(self) -> str:
        wanted = self.request.POST.get("next", "")
        is_ours = wanted.startswith("/") and url_has_allowed_host_and_scheme(
            wanted, allowed_hosts=None, require_https=self.request.is_secure()
        )
        return wanted if is_ours else self.address(self.leads_to) or self.address("overview")
