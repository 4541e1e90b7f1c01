"""A parameter: one input or output of a task, from JSON to Python and back."""

from copy import deepcopy
from functools import cached_property
from typing import Annotated, Any, ClassVar, TypedDict

from django.utils.text import capfirst
from pydantic import (
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from taskworks.exceptions import InvalidTask

LONGEST = 500  # characters of a sentence, which may quote a value


class ParameterNotValidError(ValueError):
    """A value does not fit its parameter; ``errors`` are sentences that say why."""

    def __init__(self, *errors: str) -> None:
        self.errors = [_cut(error) for error in errors]
        super().__init__(" ".join(self.errors))


def _cut(sentence: str) -> str:
    if len(sentence) <= LONGEST:
        return sentence
    return f"{sentence[: LONGEST // 2]} ... {sentence[-LONGEST // 2 :]}"


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()


class Common(TypedDict, total=False):
    """What every parameter takes by name."""

    default: Any
    null: bool
    label: str
    help_text: str


class Parameter:
    """
    Any value that is JSON, as it is. A subclass of your own has ``to_python`` and ``to_json``.

    ``required``: the value must be given; not by default if there is a ``default``, which may be
    callable. ``null``: None is a value. ``label`` and ``help_text`` are for people.
    """

    schema: ClassVar[dict[str, Any]] = {}
    reads_database = False  # to validate a value

    def __init__(
        self,
        required: bool | None = None,
        *,
        default: Any = UNSET,
        null: bool = False,
        label: str = "",
        help_text: str = "",
    ) -> None:
        if required and default is not UNSET:
            raise InvalidTask(
                f"A {type(self).__name__} is required and has the default {default!r}: leave out "
                "the one or the other."
            )
        self.required = default is UNSET if required is None else required
        self.default, self.null = default, null
        self.label, self.help_text = label, help_text

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def to_python(self, value: Any) -> Any:
        """The Python value of a JSON value; raise ValueError or TypeError if there is none."""
        return value

    def to_json(self, value: Any) -> Any:
        """The JSON value of what ``to_python`` has returned."""
        return value

    def validated(self, value: Any, *, is_output: bool = False) -> Any:
        """
        The Python value of what was given, or of what a task has returned; raise
        ParameterNotValidError if it does not fit.
        """
        if value is None and self.null:
            return None
        try:
            return self._accepted(value, is_output)
        except ParameterNotValidError:
            raise
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ParameterNotValidError(str(error)) from error

    def encoded(self, value: Any) -> Any:
        """The JSON value of what ``validated`` has returned."""
        return None if value is None and self.null else self.to_json(value)

    def _accepted(self, value: Any, is_output: bool) -> Any:
        """An output is a Python value already, and ``to_json`` is to take it as it is."""
        return value if is_output else self.to_python(value)

    @property
    def has_default(self) -> bool:
        return self.default is not UNSET

    def default_value(self) -> Any:
        """The Python value of the default, each time a new one."""
        return self.validated(self.default() if callable(self.default) else deepcopy(self.default))

    @property
    def nested(self) -> Any:
        """The annotation of a value inside of another."""
        return Annotated[
            Any,
            PlainValidator(self._validated_inside),
            PlainSerializer(self.encoded),
            WithJsonSchema(_nullable(self.schema) if self.null else self.schema),
        ]

    def _validated_inside(self, value: Any, info: ValidationInfo) -> Any:
        return self.validated(value, is_output=bool(info.context))

    def described(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema of its value, with what a person wants to know."""
        schema = _nullable(schema) if self.null else dict(schema)
        schema["title"] = str(self.label) or capfirst(name.replace("_", " "))
        if self.help_text:
            schema["description"] = str(self.help_text)
        if self.has_default and not callable(self.default):
            is_key = self.reads_database
            schema["default"] = self.default if is_key else self.encoded(self.default_value())
        return schema


# So that what is no number is refused as what cannot be stored, and does not become null.
CONFIG = ConfigDict(ser_json_inf_nan="constants")


class ValidatedParameter(Parameter):
    """A parameter whose value is of a type that pydantic knows, with bounds of its own."""

    type: ClassVar[Any] = Any
    marks: ClassVar[tuple[Any, ...]] = ()  # around the type and its bounds, the outermost last

    @cached_property
    def annotation(self) -> Any:
        """The type, with the bounds."""
        return self.bounded(self.type)

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        try:
            return TypeAdapter(self.annotation, config=CONFIG)
        except PydanticUserError as error:
            if error.code != "type-adapter-config-unused":  # it has one of its own
                raise
            return TypeAdapter(self.annotation)

    def bounded(self, kind: Any, **bounds: Any) -> Any:
        """The type with those bounds that are given, and the marks."""
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        for mark in ([Field(**given)] if given else []) + [*self.marks]:
            kind = Annotated[kind, mark]
        return kind

    @property
    def nested(self) -> Any:
        if self._has_its_own_ways:
            return super().nested
        return self.annotation | None if self.null else self.annotation

    @property
    def _has_its_own_ways(self) -> bool:
        ours = (ValidatedParameter.to_python, ValidatedParameter.to_json)
        return (type(self).to_python, type(self).to_json) != ours

    def _accepted(self, value: Any, is_output: bool) -> Any:
        if self._has_its_own_ways:
            return super()._accepted(value, is_output)
        return self._validated(value, is_output)

    def to_python(self, value: Any) -> Any:
        """The Python value of a JSON value, or of a Python value that fits as it is."""
        return self._validated(value, is_output=False)

    def _validated(self, value: Any, is_output: bool) -> Any:
        try:
            return self.adapter.validate_python(value, context=is_output)
        except ValidationError as error:
            raise ParameterNotValidError(*_sentences(error)) from None

    def to_json(self, value: Any) -> Any:
        """The JSON value of what ``to_python`` has returned."""
        return self.adapter.dump_python(value, mode="json", warnings="none")


MOST_SENTENCES = 10


def _sentences(error: ValidationError) -> list[str]:
    found = error.errors(include_url=False, include_input=False)
    return [_sentence(entry) for entry in found[:MOST_SENTENCES]]


def _sentence(entry: Any) -> str:
    """What is wrong, and where inside of the value."""
    place = "".join(f"[{step!r}]" for step in entry["loc"])
    is_ours = entry["type"] == "value_error"
    reason = str(entry["ctx"]["error"]) if is_ours else entry["msg"]
    reason = reason if reason.endswith(".") else f"{reason}."
    return f"{place}: {reason}" if place else reason


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that allows null as well."""
    if not schema:
        return {}
    if "type" not in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    nullable = {**schema, "type": [*kinds, "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable
