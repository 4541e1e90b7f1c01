"""A page with a form that is posted to it, and shown again with what is wrong."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse

from taskworks.dashboard.page import Page
from taskworks.dashboard.rendering import render


class FormPage(Page):
    def again(self, context: Mapping[str, Any]) -> HttpResponse:
        """Return the page with this context, for something that was refused."""
        whole = {**self.common_context(), **context, **self._context_of_pages()}
        return HttpResponse(render(self.template, whole, self.request), status=400)
