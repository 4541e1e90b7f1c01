"""The actions of a list, as buttons on the page of a row."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class PageActions(_ModelAdmin):
    """
    Has a button for each of the ``actions`` that the user may use, and that apply to the row. It
    posts to an address of its own, which calls the action for this row alone. The template is
    ``admin/taskworks/change_form.html``.
    """

    def applies(self, action: str, row: Any) -> bool:
        """Return whether the row's page has a button for this action."""
        return True

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.action_view)
        address = "<path:object_id>/action/<str:action>/"
        return [path(address, view, name=self._url_name("action")), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **more: Any
    ) -> Any:
        row = context.get("original")
        buttons = list(self._buttons(request, row)) if row else []
        context = {**context, "page_actions": buttons}
        return super().render_change_form(request, context, *args, **more)

    @method_decorator(require_POST)
    def action_view(self, request: HttpRequest, object_id: str, action: str) -> Any:
        """Do the action, and show the page again, with what the action says."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id!r}.")
        usable = self._usable(request)
        if action not in usable or not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        answer = usable[action](self, request, self.get_queryset(request).filter(pk=row.pk))
        return answer or HttpResponseRedirect(self._address("change", row.pk))

    def _buttons(self, request: HttpRequest, row: Any) -> Iterator[tuple[str, str]]:
        for action in self._usable(request):
            if self.applies(action, row):
                label = action.replace("_", " ").capitalize()
                yield label, self._address("action", row.pk, action)

    def _usable(self, request: HttpRequest) -> dict[str, Callable[..., Any]]:
        """Return our own actions, as far as the user may use them."""
        allowed: dict[str, Any] = self.get_actions(request)
        return {name: allowed[name][0] for name in self.actions or () if name in allowed}

    def _address(self, view: str, pk: Any, *arguments: str) -> str:
        name, arguments = f"admin:{self._url_name(view)}", (quote(pk), *arguments)
        return reverse(name, args=arguments, current_app=self.admin_site.name)

    def _url_name(self, view: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{view}"
