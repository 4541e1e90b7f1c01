"""The lists of the admin refuse what no column holds, instead of failing in the database."""

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest


class CarefulChangeList(ChangeList):
    """A list whose URL may contain anything: what cannot be a filter is left out."""

    def get_filters(self, request: HttpRequest) -> Any:
        if any("\0" in text for _, texts in request.GET.lists() for text in texts):
            # PostgreSQL would refuse the statement, when the rows are read.
            raise IncorrectLookupParameters("A NUL character is in no column.")
        return super().get_filters(request)
