"""Limits in the admin: how they are used now, and what their numbers are."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from taskworks.actions import limits
from taskworks.admin.change_lists import CarefulChangeList
from taskworks.admin.one_database import DOES_NOT_ANSWER, OneDatabase, does_not_answer
from taskworks.backends.shards import Failing
from taskworks.models import Limit
from taskworks.options.limits import NUMBERS

USE = "_use"  # the attribute of a row on a page

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Limit]
    _ModelAdmin = admin.ModelAdmin[Limit]
else:
    _ModelForm = forms.ModelForm
    _ModelAdmin = admin.ModelAdmin


class LimitsInUse(CarefulChangeList):
    """Looks up how all limits on the page are used, once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        for use in limits.uses_of(self.result_list):
            use.limit.__dict__[USE] = use


def _use_of(limit: Limit) -> limits.Use:
    """Return how a limit is used, as it was looked up for the page."""
    if USE not in limit.__dict__:
        limit.__dict__[USE] = limits.use_of(limit)
    use: limits.Use = limit.__dict__[USE]
    return use


class LimitForm(_ModelForm):
    """Refuses what ``control.change_limit`` would refuse."""

    def clean(self) -> None:
        super().clean()
        if not self.numbers or self.errors:
            return
        try:
            limits.refuse(self.instance.name, self.numbers)
        except ValueError as error:
            self.add_error(None, str(error))
        except DOES_NOT_ANSWER as error:
            self.add_error(None, does_not_answer(error))

    @property
    def numbers(self) -> dict[str, Any]:
        """The numbers that are wanted, also those that the row shown has: others may not."""
        return {name: self.cleaned_data[name] for name in NUMBERS if name in self.cleaned_data}


@admin.register(Limit)
class LimitAdmin(OneDatabase, _ModelAdmin):
    """Code and settings declare limits; here their numbers can be changed."""

    form = LimitForm
    list_display = ("name", *NUMBERS, "declared_numbers", "in_hand", "waiting")
    fields = ("name", *NUMBERS, "declared_numbers", "in_hand", "waiting")
    readonly_fields = ("name", "declared_numbers", "in_hand", "waiting")
    ordering = ("name",)
    sortable_by = ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Limit | None = None) -> bool:
        """Refuse to change what nobody declares, which limits nothing."""
        is_declared = obj is None or obj.declared is not None
        return is_declared and super().has_change_permission(request, obj)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[CarefulChangeList]:
        return LimitsInUse

    def save_model(self, request: HttpRequest, obj: Limit, form: Any, change: bool) -> None:
        """Write the numbers in each database, and tell the workers."""
        if form.numbers:
            failing = Failing()
            limits.change(obj.name, form.numbers, failing=failing)
            self.tell_of_failing(request, failing)

    @admin.display(description="declared")
    def declared_numbers(self, limit: Limit) -> str:
        if not isinstance(limit.declared, dict):
            return "by nobody: it limits nothing"
        if not limit.changed:
            return "as shown"
        return ", ".join(f"{name} {number or 'none'}" for name, number in limit.changed.items())

    @admin.display(description="in hand")
    def in_hand(self, limit: Limit) -> str:
        return str(_use_of(limit).in_hand)

    @admin.display(description="waiting")
    def waiting(self, limit: Limit) -> str:
        return _use_of(limit).waiting_in_words
