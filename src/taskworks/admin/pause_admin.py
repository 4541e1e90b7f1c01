"""Pauses in the admin: adding one pauses a queue, a task, a limit or a key; deleting it resumes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextareaWidget
from django.db import models
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from taskworks.actions import pausing
from taskworks.actions.scopes import demand, scope_of
from taskworks.admin.one_database import (
    DOES_NOT_ANSWER,
    OneDatabase,
    does_not_answer,
    not_done,
)
from taskworks.backends.shards import Failing, backends_here
from taskworks.models import Pause
from taskworks.models.pause import LIMIT, QUEUE, PauseQuerySet, Scope
from taskworks.options.limits import OF_NONE
from taskworks.store import store, store_alias

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Pause]
    _ModelAdmin = admin.ModelAdmin[Pause]
else:
    _ModelForm = forms.ModelForm
    _ModelAdmin = admin.ModelAdmin

WHAT = ("kind", "name", "key", "backend")
ENTERED = ("until", "reason")
SHOWN = ("by", "at")


class StillPaused(Exception):  # noqa: N818 - an answer, not an error
    """What is not resumed here yet, and why; the text is for people."""


class PauseForm(_ModelForm):
    """What is paused can only be said of a new pause."""

    class Meta:
        model = Pause
        fields = (*WHAT, *ENTERED)
        help_texts = {  # noqa: RUF012 - as Django has it
            "name": "Of the queue or the limit, or the path of the task.",
            "key": "Of a limit: one of its keys, as it is shown. If empty, all of them are paused.",
            "until": "When the pause ends by itself. If empty, when it is deleted.",
            "reason": "Shown to people who wonder why nothing happens.",
        }
        widgets = {"reason": AdminTextareaWidget}  # noqa: RUF012

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.scope = self.instance.scope
        if "backend" in self.fields:
            aliases = [backend.alias for backend in backends_here()]
            self.fields["backend"] = forms.ChoiceField(
                choices=[(one, one) for one in aliases],
                help_text="Of a queue. Tasks and limits are those of every backend.",
            )

    def clean(self) -> None:
        """Refuse what ``control.pause`` would refuse."""
        super().clean()
        given = self.cleaned_data
        if given.keys() >= {*WHAT}:
            self._check("name", self._find, given)
        if "until" in given:
            self._check("until", pausing.refuse_end, self.scope, given["until"])

    def _find(self, given: dict[str, Any]) -> None:
        named = {given["kind"]: given["name"]}
        if given["kind"] == QUEUE:
            named["backend"] = given["backend"]
        self.scope = scope_of(**named)
        demand(self.scope)
        if given["key"]:
            self._check("key", self._find_key, named, given["key"])
        # A second pause is not refused: it takes the place of the first.
        self.instance = store().pauses.of(self.scope).first() or self.instance

    def _find_key(self, named: dict[str, Any], key: str) -> None:
        self.scope = scope_of(**named, key=None if key == OF_NONE else key)
        pausing.refuse_key(self.scope)

    def _check(self, field: str, check: Callable[..., Any], *values: Any) -> None:
        try:
            check(*values)
        except ValueError as error:
            self.add_error(field, str(error))
        except DOES_NOT_ANSWER as error:
            self.add_error(field, does_not_answer(error))


@admin.register(Pause)
class PauseAdmin(OneDatabase, _ModelAdmin):
    form = PauseForm
    list_display = ("paused", "until", "reason", *SHOWN)
    ordering = ("kind", "backend", "name", "key")
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> PauseQuerySet:
        """Return the pauses in force."""
        return cast(PauseQuerySet, super().get_queryset(request)).in_force()

    def get_fields(self, request: HttpRequest, obj: Pause | None = None) -> Any:
        return (*_parts(obj.scope), *ENTERED, *SHOWN) if obj else (*WHAT, *ENTERED)

    def get_readonly_fields(self, request: HttpRequest, obj: Pause | None = None) -> Any:
        return (*WHAT, *SHOWN) if obj else ()

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        """Pause in the name of the user, and tell the workers."""
        failing = Failing()
        paused = pausing.pause(
            form.scope,
            until=obj.until,
            reason=obj.reason,
            by=request.user.get_username()[: pausing.MAX_BY],
            wait=False,
            failing=failing,
        )
        self.tell_of_failing(request, failing)
        if not change:
            obj.pk = paused.pk

    def delete_model(self, request: HttpRequest, obj: Pause) -> None:
        """
        Resume, and tell the workers: a queue here, and what is paused in all, in all. Raise
        StillPaused if another database has not, and leave the row here, so that it can be repeated.
        """
        failing = Failing()
        if obj.kind != QUEUE:  # whose backend may have its runs elsewhere by now
            pausing.resume_elsewhere(obj.scope, failing=failing)
        if failing:
            kept = _("The %(what)s stays paused here until all databases have resumed it.")
            reasons = [not_done(alias, error) for alias, error in failing.items()]
            raise StillPaused(" ".join([kept % {"what": obj.scope}, *reasons]))
        super().log_deletions(request, Pause.objects.using(store_alias()).filter(pk=obj.pk))
        store().resume(obj.scope)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Pause]) -> None:
        """Resume these, and tell the workers; raise StillPaused for those that are not resumed."""
        kept = list[str]()
        for pause in queryset:
            try:
                self.delete_model(request, pause)
            except StillPaused as still:
                kept.append(str(still))
        if kept:
            raise StillPaused("\n".join(kept))

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Log none before it is done: see delete_model."""
        return []

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        return self._or_still(request, super().delete_view, object_id, extra_context)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return self._or_still(request, super().changelist_view, extra_context)

    def _or_still(self, request: HttpRequest, view: Callable[..., Any], *arguments: Any) -> Any:
        """Show the list, with what is still paused, if not all was resumed."""
        try:
            return view(request, *arguments)
        except StillPaused as still:
            for line in str(still).splitlines():
                self.message_user(request, line, messages.WARNING)
            place = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
            return HttpResponseRedirect(reverse(place, current_app=self.admin_site.name))

    @admin.display(description="paused")
    def paused(self, pause: Pause) -> str:
        return str(pause.scope)


def _parts(scope: Scope) -> tuple[str, ...]:
    """Return the fields that say what is paused."""
    if scope.kind == QUEUE:
        return ("kind", "name", "backend")
    return ("kind", "name", "key") if scope.kind == LIMIT else ("kind", "name")
