"""
The form of a task: a field for each input of a typed task; for others, one for each parameter of
the function.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _

from taskworks import framework
from taskworks.dashboard.runs.form_fields import NOT_GIVEN, FormField, Refused, as_json, of_schema
from taskworks.exceptions import InvalidInputs

DEFINITIONS = "#/$defs/"
POSITIONAL, KEYWORDS = "*args", "**kwargs"  # fields of all arguments of a kind

# How parameters of these types are entered, by the names of these; others are JSON.
BY_ANNOTATION: dict[str, dict[str, Any]] = {
    "str": {"widget": "lines"},
    "int": {"widget": "number", "attributes": (("step", "1"),)},
    "float": {"widget": "number", "attributes": (("step", "any"),)},
}

HIDDEN = "********"  # stands for a value of which nothing may be seen


@dataclass(frozen=True, slots=True)
class TaskForm:
    """The fields of a task; ``positional`` of the first ones are passed without their names."""

    fields: tuple[FormField, ...]
    positional: int = 0

    def __iter__(self) -> Iterator[FormField]:
        return iter(self.fields)

    def bound(self, data: Mapping[str, Any]) -> "TaskForm":
        """Return the form with what was entered."""
        return replace(self, fields=tuple(field.bound(data) for field in self.fields))

    def with_errors(self, errors: Mapping[str, Sequence[str]]) -> tuple["TaskForm", list[str]]:
        """Return the form with errors at its fields, and those of what is not among them."""
        fields = tuple(
            replace(field, errors=(*field.errors, *errors.get(field.name, ())))
            for field in self.fields
        )
        names = {field.name for field in fields}
        others = [
            f"{name}: {said}" for name, some in errors.items() if name not in names for said in some
        ]
        return replace(self, fields=fields), others

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Return what the task is called with; raise InvalidInputs, by the names of the fields."""
        values: dict[str, Any] = {}
        errors: dict[str, list[str]] = {}
        for field in self.fields:
            try:
                value = field.value()
            except Refused as error:
                errors[field.name] = [str(error)]
                continue
            if value is not NOT_GIVEN:
                values[field.name] = value
        errors |= self._of_wrong_kind(values)
        if errors:
            raise InvalidInputs(errors)
        return self._as_call(values)

    @staticmethod
    def _of_wrong_kind(values: Mapping[str, Any]) -> dict[str, list[str]]:
        errors = {}
        if not isinstance(values.get(POSITIONAL, []), list):
            errors[POSITIONAL] = [_("Enter a JSON array, such as [1, 2].")]
        if not isinstance(values.get(KEYWORDS, {}), dict):
            errors[KEYWORDS] = [_('Enter a JSON object, such as {"key": "value"}.')]
        return errors

    def _as_call(self, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        more_args, more_kwargs = values.pop(POSITIONAL, []), values.pop(KEYWORDS, {})
        args = []
        for field in self.fields[: self.positional]:
            if field.name not in values:
                break
            args.append(values.pop(field.name))
        left_out = [field.name for field in self.fields[len(args) : self.positional] if more_args]
        if left_out:
            said = _("Enter a value, because others follow it in %(field)s.")
            raise InvalidInputs({left_out[0]: [said % {"field": POSITIONAL}]})
        if twice := {field.name for field in self.fields} & more_kwargs.keys():
            said = _("It has %(name)s, which has a field of its own.")
            raise InvalidInputs({KEYWORDS: [said % {"name": min(twice)}]})
        return [*args, *more_args], {**values, **more_kwargs}


def form_of(task: framework.Task) -> TaskForm:
    """Return the empty form of a task."""
    if (inputs := getattr(task, "inputs", None)) is not None:
        return TaskForm(tuple(_of_inputs(inputs)))
    parameters = _parameters_of(task)
    if parameters is None:
        return _of_any_arguments()
    return TaskForm(tuple(map(_of_parameter, parameters)), _passed_by_place(parameters))


def form_of_call(
    task: framework.Task, args: Sequence[Any], kwargs: Mapping[str, Any], shown: tuple[Any, Any]
) -> TaskForm:
    """
    Return the form with the arguments of a call, which the task may not accept any more. ``shown``
    are the same arguments as people may see them.
    """
    form = form_of(task)
    positional = max(form.positional, len(args))
    names = [field.name for field in form.fields if field.name not in (POSITIONAL, KEYWORDS)]
    if len(args) > len(names) or {*kwargs} - {*names[len(args) :]}:
        form, positional = _of_any_arguments(), 0
        values = {POSITIONAL: [*args], KEYWORDS: {**kwargs}}
        texts = {POSITIONAL: shown[0], KEYWORDS: shown[1]}
    else:
        values = _by_name(names, args, kwargs)
        texts = _by_name(names, *shown)
    fields = tuple(
        field.filled(values[field.name], texts.get(field.name, HIDDEN))
        if field.name in values
        else field
        for field in form.fields
    )
    return replace(form, fields=fields, positional=positional)


def _by_name(names: Sequence[str], args: Any, kwargs: Any) -> dict[str, Any]:
    """Return arguments by their names, as far as these are arguments."""
    by_place = dict(zip(names, args, strict=False)) if isinstance(args, list | tuple) else {}
    return {**by_place, **kwargs} if isinstance(kwargs, Mapping) else by_place


def _of_any_arguments() -> TaskForm:
    return TaskForm(
        (
            FormField(POSITIONAL, _("Positional arguments"), required=False),
            FormField(KEYWORDS, _("Keyword arguments"), required=False),
        )
    )


# Typed tasks.


def _of_inputs(inputs: Any) -> Iterator[FormField]:
    schema = inputs.json_schema()
    required = {*schema.get("required", ())}
    for name, described in schema["properties"].items():
        yield of_schema(name, _resolved(described, schema.get("$defs", {})), name in required)


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema with what it refers to, at its top and in its alternatives, in its place."""
    reference = str(schema.get("$ref", ""))
    if reference.startswith(DEFINITIONS):
        meant = definitions.get(reference.removeprefix(DEFINITIONS), {})
        return {**meant, **{key: value for key, value in schema.items() if key != "$ref"}}
    if isinstance(options := schema.get("anyOf"), list):
        return {**schema, "anyOf": [_resolved(one, definitions) for one in options]}
    return schema


# Functions.


def _parameters_of(task: framework.Task) -> list[inspect.Parameter] | None:
    """Return what is entered of a function's parameters; None if it does not tell them."""
    try:
        parameters = [*inspect.signature(task.func).parameters.values()]
    except (TypeError, ValueError):
        return None
    return parameters[1:] if task.takes_context else parameters


def _passed_by_place(parameters: Iterable[inspect.Parameter]) -> int:
    """Return how many of the first parameters have to be passed without their names."""
    kinds = [parameter.kind for parameter in parameters]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return kinds.count(inspect.Parameter.POSITIONAL_ONLY)


def _of_parameter(parameter: inspect.Parameter) -> FormField:
    match parameter.kind:
        case inspect.Parameter.VAR_POSITIONAL:
            label = _("More positional arguments, as a JSON array")
            return FormField(POSITIONAL, label, required=False)
        case inspect.Parameter.VAR_KEYWORD:
            label = _("More keyword arguments, as a JSON object")
            return FormField(KEYWORDS, label, required=False)
    annotation = _annotation_of(parameter)
    has_default = parameter.default is not inspect.Parameter.empty
    return FormField(
        name=parameter.name,
        label=parameter.name,
        help_text=annotation,
        required=not has_default,
        default_in_words=_in_words(parameter.default) if has_default else "",
        **_drawn_by(annotation),
    )


def _annotation_of(parameter: inspect.Parameter) -> str:
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return ""
    if isinstance(annotation, str):  # from __future__ import annotations
        return annotation
    return inspect.formatannotation(annotation)


def _drawn_by(annotation: str) -> dict[str, Any]:
    if annotation == "bool":
        choices = (("true", _("Yes")), ("false", _("No")))
        return {"widget": "choice", "choices": choices}
    return BY_ANNOTATION.get(annotation, {})


def _in_words(default: Any) -> str:
    try:
        return as_json(default)
    except (TypeError, ValueError, RecursionError):
        return repr(default)
