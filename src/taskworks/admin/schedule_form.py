"""
The admin's form of a schedule: a new one chooses its callable, and of a stored one only fields that
were changed are written.
"""

from typing import TYPE_CHECKING, Any

from django import forms
from django.forms.fields import InvalidJSONInput
from django.utils.functional import cached_property

from taskworks.admin.one_database import DOES_NOT_ANSWER, does_not_answer
from taskworks.models.schedule import Schedule
from taskworks.timetables.choices import offered

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Schedule]
else:
    _ModelForm = forms.ModelForm

# Options of its runs that can be entered. Others name classes, which a worker would import.
OPTIONS = ("queue_name", "priority", "max_attempts", "timeout")
# The fields that show the errors of columns which the form does not have.
FIELD_OF_COLUMN = {"path": "callable", "kind": "callable", "object_pk": "callable"}
JSON_TYPES = {"args": list, "kwargs": dict, "userdata": dict}


class _JSONField(forms.JSONField):
    """Refuses numbers that are too long, and lists that are too deep; Django's field raises."""

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except (ValueError, RecursionError):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return super().bound_data(data, initial)
        except (ValueError, RecursionError):
            return InvalidJSONInput(data)


def _json(label: str, kind: type, help_text: str) -> forms.JSONField:
    return _JSONField(
        label=label,
        required=False,
        initial=kind,
        help_text=help_text,
        widget=forms.Textarea({"rows": 2, "cols": 60}),
    )


class ScheduleForm(_ModelForm):
    callable = forms.ChoiceField(
        help_text="A task, or a callable that TASKWORKS['SCHEDULE_CALLABLES'] allows."
    )
    queue_name = forms.CharField(required=False, help_text="If empty, that of the task.")
    priority = forms.IntegerField(
        required=False, min_value=-100, max_value=100, help_text="If empty, that of the task."
    )
    max_attempts = forms.IntegerField(
        required=False, min_value=1, help_text="If empty, that of the task."
    )
    timeout = forms.FloatField(
        required=False, min_value=0, help_text="In seconds. If empty, that of the task."
    )
    catch_up = forms.CharField(
        initial="one",
        help_text='Missed times to make up for: "skip" for none, "one", or at most this many.',
    )
    args = _json("Arguments", list, "For a task: a JSON array.")
    kwargs = _json("Keyword arguments", dict, "For a task: a JSON object.")
    userdata = _json("User data", dict, "For a callable that is not a task: a JSON object.")

    class Meta:
        model = Schedule
        fields = (
            "label",
            "args",
            "kwargs",
            "userdata",
            "cron",
            "interval",
            "timezone",
            "enabled",
            "start_running",
            "end_running",
            "wait_for_schedule",
            "iterations",
            "overlap",
            "catch_up",
            "jitter",
        )
        help_texts = {  # noqa: RUF012 - as Django has it
            "cron": "Minute, hour, day of month, month, day of week and, optionally, second.",
            "interval": "Instead of a cron expression: 00:05:00 is every five minutes.",
            "wait_for_schedule": "If unchecked, the first run comes at once, or at the start.",
            "iterations": "How often it fires in all; 0 for no limit.",
            "jitter": "Each run is delayed at random by up to this time: 00:01:00 is a minute.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.is_stored:
            self.fields.pop("callable", None)
        elif "callable" in self.fields:
            self.offered = offered()
            field: Any = self.fields["callable"]
            field.choices = [("", "---------"), *((path, path) for path in self.offered)]
        self._offer_options()
        for field in self.fields.values():
            field.show_hidden_initial = self.is_stored

    @property
    def is_stored(self) -> bool:
        """True if the form changes a row, False if it adds one."""
        return not self.instance._state.adding

    @cached_property
    def changed_data(self) -> list[str]:
        """The names of fields that are not as the page was sent."""
        return [name for name in super().changed_data if not self._is_untouched(self[name])]

    def _is_untouched(self, field: forms.BoundField) -> bool:
        """Return whether its text is as it was sent, even if it cannot be read."""
        if not self.is_stored:
            return False
        sent = self._text_of(field.field.hidden_widget(), field.html_initial_name)
        return sent is not None and sent == self._text_of(field.field.widget, field.html_name)

    def _text_of(self, widget: forms.Widget, name: str) -> Any:
        return widget.value_from_datadict(self.data, self.files, name)

    def _clean_fields(self) -> None:
        """Validate as Django does; of a stored row, only the fields that were changed."""
        every = self.fields
        if self.is_stored:
            self.fields = {name: every[name] for name in self.changed_data}
        try:
            super()._clean_fields()  # type: ignore[misc]
        finally:
            self.fields = every

    def _get_validation_exclusions(self) -> set[str]:
        """Exclude unchanged columns of a stored row from the validation of the model, too."""
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded | {*self.fields} - {*self.changed_data} if self.is_stored else excluded

    def _post_clean(self) -> None:
        """Validate as Django does, if the database that has the schedule answers."""
        try:
            super()._post_clean()  # type: ignore[misc]
        except DOES_NOT_ANSWER as error:
            self.add_error(None, does_not_answer(error))

    def clean(self) -> dict[str, Any]:
        """Write the options, the callable, and empty JSON as the row has them."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name, kind in JSON_TYPES.items():
            if name in cleaned and cleaned[name] is None:
                cleaned[name] = kind()
        if described := getattr(self, "offered", {}).get(cleaned.get("callable", "")):
            self.instance.kind, self.instance.path = described.kind, described.path
        self.instance.options = self._options(cleaned)
        return cleaned

    def add_error(self, field: str | None, error: Any) -> None:
        """Show each error beside the field that it is about."""
        if hasattr(error, "error_dict"):
            for name, errors in error.error_dict.items():
                if FIELD_OF_COLUMN.get(name) == "callable" and "callable" in self._found:
                    continue  # none was chosen, which has an error already
                super().add_error(self._shown_at(name, str(errors)), errors)
        else:
            super().add_error(self._shown_at(field, str(error)), error)

    @property
    def _found(self) -> Any:
        """The errors so far; the property ``errors`` would start validation."""
        return getattr(self, "_errors", None) or {}

    def _shown_at(self, name: str | None, reason: str) -> str | None:
        if name == "options":
            given = [option for option in OPTIONS if option in self.changed_data]
            named = [option for option in given if option in reason]
            name = next(iter([*named, *given]), None)
        name = FIELD_OF_COLUMN.get(name or "", name)
        return name if name in self.fields else None

    def _offer_options(self) -> None:
        for name in OPTIONS:
            if name in self.fields:
                self.initial.setdefault(name, self.instance.options.get(name))

    def _options(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return the stored options with those that were entered; an empty one is removed."""
        options = dict(self.instance.options)
        for name in OPTIONS:
            if name not in cleaned:
                continue
            if cleaned[name] in (None, ""):
                options.pop(name, None)
            else:
                options[name] = cleaned[name]
        return options
