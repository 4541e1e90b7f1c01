"""The dashboard in the admin's index: an entry that leads there, if the project includes it."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import URLPattern, path

from taskworks.addresses import dashboard_address
from taskworks.dashboard.access import Access, Action
from taskworks.models import Dashboard

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Dashboard]
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(Dashboard)
class DashboardAdmin(_ModelAdmin):
    """Shows nothing itself."""

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return [path("", self.admin_site.admin_view(self.changelist_view), name=name)]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Lead to the dashboard."""
        address = dashboard_address(request)
        if address is None or not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(address)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return dashboard_address(request) is not None and Access(request).may(Action.SEE)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
