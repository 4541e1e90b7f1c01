"""
A field of a form for a task's argument: how it is drawn, and which JSON value was entered.

What a task takes is known from the JSON Schema of its inputs. A field only turns text into JSON;
whether the value fits is for the task to say.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from taskworks import jsonvalue

# By the "format" of a schema of text.
INPUT_TYPES = {
    "date": "date",
    "date-time": "datetime-local",
    "time": "time",
    "email": "email",
    "uri": "url",
}
MAX_LINE = 255  # characters; longer text gets a box of several lines
MAX_SHOWN = 100_000  # characters of a value that a form is filled with


class Refused(ValueError):  # noqa: N818 - an answer, not an error
    """What was entered cannot be used; the text is a sentence for the person."""


class NotGiven:
    """What stands for an argument that is left to its default."""


NOT_GIVEN = NotGiven()


@dataclass(frozen=True, slots=True)
class FormField:
    """
    One argument, as a template draws it; ``text`` is what is in it.
    """

    name: str
    label: str
    help_text: str = ""
    required: bool = True
    widget: str = "json"  # line, lines, number, choice or json
    input_type: str = "text"
    attributes: tuple[tuple[str, str], ...] = ()  # of a line or a number
    choices: tuple[tuple[str, str], ...] = ()  # pairs of text and label
    text: str = ""
    default_in_words: str = ""
    is_nullable: bool = False
    errors: tuple[str, ...] = ()
    # What it was filled with: text that is left as it is means this value, not what one would read.
    initial: str | None = None
    kept: Any = field(default=NOT_GIVEN)

    @property
    def html_name(self) -> str:
        return f"input.{self.name}"

    @property
    def html_id(self) -> str:
        return f"id_input_{self.name}"

    @property
    def must_be_filled(self) -> bool:
        """Whether nothing cannot be its value: an empty text can be that of a text."""
        is_text = self.widget == "lines" or (self.widget == "line" and self.input_type == "text")
        return self.required and not (is_text or self.is_nullable)

    def filled(self, value: Any, shown: Any) -> "FormField":
        """Return the field with a stored value, of which ``shown`` is what a person may see."""
        text = self._as_text(shown)
        return replace(self, text=text, initial=text, kept=value)

    def bound(self, data: Mapping[str, Any]) -> "FormField":
        """Return the field with what was entered."""
        return replace(self, text=entered(data, self.html_name))

    def value(self) -> Any:
        """Return the JSON value, or NOT_GIVEN; raise Refused if the text is not one."""
        if self.initial is not None and self.text == self.initial:
            return self.kept
        match self.widget:
            case "line" | "lines":
                return self._of_line()
            case "number":
                return self._of_number()
            case "choice":
                return self._of_choice()
            case _:
                return self._of_json()

    def _of_blank(self) -> Any:
        if self.required and self.is_nullable:
            return None
        if self.required:
            raise Refused(_("Enter a value."))
        return NOT_GIVEN

    def _of_line(self) -> Any:
        if self.text == "" and (self.must_be_filled or not self.required or self.is_nullable):
            return self._of_blank()
        if self.input_type == "datetime-local":
            return _with_zone(self.text)
        return self.text

    def _of_number(self) -> Any:
        if self.text.strip() == "":
            return self._of_blank()
        try:
            value = jsonvalue.decode(self.text.strip())
        except (ValueError, RecursionError):
            value = None
        if type(value) not in (int, float):
            raise Refused(_("Enter a number, not %(text)s.") % {"text": _quoted(self.text)})
        return value

    def _of_choice(self) -> Any:
        if self.text == "":
            return self._of_blank()
        if self.text not in dict(self.choices):
            raise Refused(_("Choose one of the values that are offered."))
        return json.loads(self.text)

    def _of_json(self) -> Any:
        if self.text.strip() == "":
            return self._of_blank()
        try:
            return jsonvalue.decode(self.text)
        except (ValueError, RecursionError):
            raise Refused(
                _(
                    "Enter a JSON value, not %(text)s: text is in double quotes, and so are the "
                    'keys of an object. Examples: 5, true, "text", [1, 2], {"key": "value"}.'
                )
                % {"text": _quoted(self.text)}
            ) from None

    def _as_text(self, value: Any) -> str:
        if value is None and self.is_nullable and self.widget != "json":
            return ""
        if self.widget in ("line", "lines") and isinstance(value, str):
            return _without_zone(value) if self.input_type == "datetime-local" else value
        return as_json(value)


def entered(data: Mapping[str, Any], name: str) -> str:
    """Return the text of a field, with the line breaks of Python."""
    return str(data.get(name) or "").replace("\r\n", "\n")


def as_json(value: Any) -> str:
    """Return the JSON of a value, as people read it."""
    return json.dumps(
        value, ensure_ascii=False, indent=2 if isinstance(value, list | dict) else None
    )


def _with_zone(text: str) -> str:
    """Return a local time with the offset that it has here; a text that is none unchanged."""
    try:
        moment = datetime.fromisoformat(text)
        if timezone.is_naive(moment) and settings.USE_TZ:
            moment = timezone.make_aware(moment)
    except (ValueError, OverflowError):
        return text
    return moment.isoformat()


def _without_zone(text: str) -> str:
    """Return a moment as the local time here, as browsers want it."""
    try:
        moment = datetime.fromisoformat(text)
        if timezone.is_aware(moment):
            moment = timezone.localtime(moment).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return text
    return moment.isoformat(timespec="seconds")


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 50 else f"{text[:50]}…")


# From the schema of an input.


def of_schema(name: str, schema: Mapping[str, Any], required: bool) -> FormField:
    """Return the field for an input with this schema, whose references are resolved."""
    plain, is_nullable = _not_null(schema)
    drawn = FormField(
        name=name,
        label=str(schema.get("title") or name),
        help_text=str(schema.get("description") or ""),
        required=required,
        is_nullable=is_nullable,
        default_in_words=as_json(schema["default"]) if "default" in schema else "",
    )
    if choices := _choices(plain):
        return replace(drawn, widget="choice", choices=choices)
    match plain.get("type"):
        case "string":
            return _of_text(drawn, plain)
        case "integer" | "number" as kind:
            attributes = _bounds(plain, "minimum", "maximum")
            step = ("step", "1" if kind == "integer" else "any")
            return replace(drawn, widget="number", attributes=(step, *attributes))
        case "boolean":
            choices = (("true", _("Yes")), ("false", _("No")))
            return replace(drawn, widget="choice", choices=choices)
        case _:
            return drawn


def _not_null(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """Return what a schema says of values but null, and whether null is one."""
    options = schema.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        others = [one for one in options if one != {"type": "null"}]
        return (others[0] if len(others) == 1 else {}), True
    kinds = schema.get("type")
    if isinstance(kinds, list):
        others = [kind for kind in kinds if kind != "null"]
        kind = others[0] if len(others) == 1 else None
        return {**schema, "type": kind}, "null" in kinds
    return schema, False


def _choices(schema: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    values = [schema["const"]] if "const" in schema else schema.get("enum") or ()
    return tuple(
        (json.dumps(value), value if isinstance(value, str) else as_json(value))
        for value in values
        if value is not None
    )


def _of_text(drawn: FormField, schema: Mapping[str, Any]) -> FormField:
    if kind := INPUT_TYPES.get(str(schema.get("format"))):
        step = (("step", "1"),) if kind in ("datetime-local", "time") else ()
        return replace(drawn, widget="line", input_type=kind, attributes=step)
    is_line = schema.get("maxLength", MAX_LINE + 1) <= MAX_LINE or "format" in schema
    bounds = _bounds(schema, "minLength", "maxLength")
    return replace(drawn, widget="line" if is_line else "lines", attributes=bounds)


BOUNDS = {"minimum": "min", "maximum": "max", "minLength": "minlength", "maxLength": "maxlength"}


def _bounds(schema: Mapping[str, Any], *names: str) -> tuple[tuple[str, str], ...]:
    return tuple((BOUNDS[name], str(schema[name])) for name in names if name in schema)
