"""Pauses in the admin: to add one pauses a queue, to delete it resumes the queue."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextareaWidget
from django.db import models
from django.http import HttpRequest

from taskworks import control
from taskworks.admin.change_lists import CarefulChangeList
from taskworks.backends.database import database_backends
from taskworks.models import Pause
from taskworks.store import store_alias

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Pause]
    _ModelAdmin = admin.ModelAdmin[Pause]
else:
    _ModelForm = forms.ModelForm
    _ModelAdmin = admin.ModelAdmin

QUEUE = ("backend", "name")
ENTERED = ("until", "reason")
SHOWN = ("by", "at")


class PauseForm(_ModelForm):
    """The fields of a queue are only those of a new pause."""

    class Meta:
        model = Pause
        fields = (*QUEUE, *ENTERED)
        labels = {"name": "Queue"}  # noqa: RUF012 - as Django has it
        help_texts = {  # noqa: RUF012
            "until": "When the pause ends by itself. If empty, when it is deleted.",
            "reason": "For whoever wonders why nothing happens.",
        }
        widgets = {"reason": AdminTextareaWidget}  # noqa: RUF012

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "backend" in self.fields:
            aliases = [backend.alias for backend in database_backends()]
            self.fields["backend"] = forms.ChoiceField(choices=[(one, one) for one in aliases])

    def clean(self) -> None:
        """Refuse what ``control.pause`` would refuse."""
        super().clean()
        given = self.cleaned_data
        if given.keys() >= {*QUEUE}:
            self._check("name", control.validate_queue, given["name"], given["backend"])
        if "until" in given:
            self._check("until", control.stored_end, given["until"])

    def _check(self, field: str, check: Any, *values: Any) -> None:
        try:
            check(*values)
        except ValueError as error:
            self.add_error(field, str(error))


@admin.register(Pause)
class PauseAdmin(_ModelAdmin):
    form = PauseForm
    list_display = ("queue", "backend", "until", "reason", *SHOWN)
    ordering = ("backend", "name")
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Pause]:
        """Return the pauses in force, from no replica, which may not have the last change."""
        return Pause.objects.using(store_alias()).in_force()

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[CarefulChangeList]:
        return CarefulChangeList

    def get_fields(self, request: HttpRequest, obj: Pause | None = None) -> Any:
        return (*QUEUE, *ENTERED, *SHOWN) if obj else (*QUEUE, *ENTERED)

    def get_readonly_fields(self, request: HttpRequest, obj: Pause | None = None) -> Any:
        return (*QUEUE, *SHOWN) if obj else ()

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        """Pause the queue in the name of the user, and tell the workers."""
        paused = control.pause(
            obj.name,
            backend=obj.backend,
            until=obj.until,
            reason=obj.reason,
            by=request.user.get_username()[: control.MAX_BY],
        )
        obj.pk = paused.pk

    def delete_model(self, request: HttpRequest, obj: Pause) -> None:
        """Resume the queue, and tell the workers."""
        control.resume(obj.name, backend=obj.backend)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Pause]) -> None:
        """Resume the queues, and tell the workers."""
        for pause in queryset:
            self.delete_model(request, pause)

    @admin.display(description="queue")
    def queue(self, pause: Pause) -> str:
        return pause.name
