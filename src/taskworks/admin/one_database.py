"""Where several databases have runs, the admin shows the first one, and says so."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.translation import gettext as _

from taskworks.backends.shards import databases

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class OneDatabase(_ModelAdmin):
    """Says above a list from which database it is."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        known = databases()
        if len(known) > 1 and request.method == "GET":
            said = _("This list is that of the database %(shown)s. The dashboard shows %(others)s.")
            names = {"shown": known[0], "others": ", ".join(known[1:])}
            messages.info(request, said % names, fail_silently=True)
        return super().changelist_view(request, extra_context)
