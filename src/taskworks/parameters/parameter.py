"""``Parameter``: one input or output of a task, converted from JSON to Python and back."""

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

from taskworks import jsonvalue
from taskworks.exceptions import InvalidTask

MAX_SENTENCE_LENGTH = 500  # characters; a sentence may quote a value


class ParameterNotValidError(ValueError):
    """A value does not fit its parameter. ``errors`` is a list of sentences."""

    def __init__(self, *errors: str) -> None:
        self.errors = [_shortened(error) for error in errors]
        super().__init__(" ".join(self.errors))


def _shortened(sentence: str) -> str:
    if len(sentence) <= MAX_SENTENCE_LENGTH:
        return sentence
    half = MAX_SENTENCE_LENGTH // 2
    return f"{sentence[:half]} ... {sentence[-half:]}"


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()


class CommonOptions(TypedDict, total=False):
    """The keyword arguments of every parameter."""

    default: Any
    null: bool
    label: str
    help_text: str


class Parameter:
    """
    Any JSON value, unchanged. Subclasses override ``to_python`` and ``to_json``.

    ``required``: the value must be given; True unless there is a ``default``, which may be a
    callable. ``null``: None is allowed. ``label`` and ``help_text`` are for people.
    """

    schema: ClassVar[dict[str, Any]] = {}
    reads_database = False  # whether validation does

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
                f"A {type(self).__name__} cannot be required and have a default, {default!r}: "
                "remove one of the two."
            )
        self.required = default is UNSET if required is None else required
        self.default, self.null = default, null
        self.label, self.help_text = label, help_text

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def to_python(self, value: Any) -> Any:
        """Return the Python value of a JSON value; raise ValueError or TypeError."""
        return value

    def to_json(self, value: Any) -> Any:
        """Return the JSON value of a value that ``to_python`` returned."""
        return value

    def validated(self, value: Any, *, is_output: bool = False) -> Any:
        """
        Return the Python value of an input, or of an output that a task returned.

        Raise ParameterNotValidError if it does not fit.
        """
        if value is None and self.null:
            return None
        try:
            return self._accepted(value, is_output)
        except ParameterNotValidError:
            raise
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ParameterNotValidError(str(error)) from error

    def encoded(self, value: Any, *, is_output: bool = False) -> Any:
        """
        Return the JSON value of a value that ``validated`` returned: that of an input can be read
        back, that of an output is what its schema says.
        """
        if value is None and self.null:
            return None
        return self._output_json(value) if is_output else self.to_json(value)

    def _accepted(self, value: Any, is_output: bool) -> Any:
        # An output is a Python value already, ready for to_json().
        return value if is_output else self.to_python(value)

    def _output_json(self, value: Any) -> Any:
        return self.to_json(value)

    @property
    def has_default(self) -> bool:
        return self.default is not UNSET

    def default_value(self) -> Any:
        """Return the Python value of the default, a new object each time."""
        return self.validated(self.default() if callable(self.default) else deepcopy(self.default))

    @property
    def nested(self) -> Any:
        """The annotation of a value inside another value, such as an item of a list."""
        return Annotated[
            Any,
            PlainValidator(self._validated_item),
            PlainSerializer(self.encoded),
            WithJsonSchema(_nullable(self.schema) if self.null else self.schema),
        ]

    @property
    def _nested_of_json(self) -> Any:
        """The same for a value in JSON."""
        return self.nested

    def _validated_item(self, value: Any, info: ValidationInfo) -> Any:
        return self.validated(value, is_output=bool(info.context))

    def described(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the value's schema with title, description and default."""
        schema = _nullable(schema) if self.null else dict(schema)
        schema["title"] = str(self.label) or capfirst(name.replace("_", " "))
        if self.help_text:
            schema["description"] = str(self.help_text)
        if self.has_default and not callable(self.default):
            is_key = self.reads_database
            schema["default"] = self.default if is_key else self.encoded(self.default_value())
        return schema


# Keep NaN and infinity: they are rejected when the value is stored, instead of becoming null.
PYDANTIC_CONFIG = ConfigDict(ser_json_inf_nan="constants")


class ValidatedParameter(Parameter):
    """A parameter whose value pydantic validates, by a type and bounds."""

    type: ClassVar[Any] = Any
    marks: ClassVar[tuple[Any, ...]] = ()  # pydantic's, the outermost last

    @cached_property
    def annotation(self) -> Any:
        """The type with its bounds, as pydantic expects it."""
        return self.bounded(self.type)

    @property
    def _annotation_of_json(self) -> Any:
        """The type without functions of ours that get JSON before pydantic, as Python values."""
        return self.annotation

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        return adapter_of(self.annotation)

    @property
    def _adapter_of_json(self) -> TypeAdapter[Any]:
        return self.adapter

    def bounded(self, kind: Any, **bounds: Any) -> Any:
        """Return the type with the bounds that are not None, and the marks."""
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        for mark in ([Field(**given)] if given else []) + [*self.marks]:
            kind = Annotated[kind, mark]
        return kind

    @property
    def nested(self) -> Any:
        if self._overrides_conversion:
            return super().nested
        return self.annotation | None if self.null else self.annotation

    @property
    def _nested_of_json(self) -> Any:
        if self._overrides_conversion:
            return super()._nested_of_json
        return self._annotation_of_json | None if self.null else self._annotation_of_json

    @property
    def _overrides_conversion(self) -> bool:
        ours = (ValidatedParameter.to_python, ValidatedParameter.to_json)
        return (type(self).to_python, type(self).to_json) != ours

    def _accepted(self, value: Any, is_output: bool) -> Any:
        if self._overrides_conversion:
            return super()._accepted(value, is_output)
        return self._validated(value, is_output)

    def to_python(self, value: Any) -> Any:
        """Return the Python value of a JSON value, or of a Python value that already fits."""
        return self._validated(value, is_output=False)

    def _validated(self, value: Any, is_output: bool) -> Any:
        try:
            return self.adapter.validate_python(value, context=is_output)
        except ValidationError as error:
            return self._validated_as_json(value, is_output, error)

    def _validated_as_json(self, value: Any, is_output: bool, error: ValidationError) -> Any:
        # Only from JSON does a strict model accept text as a datetime, which JSON does not have.
        try:
            text = jsonvalue.encode(self._prepared(value), "value")
            return self._adapter_of_json.validate_json(text, context=is_output)
        except ValidationError as error_in_json:
            error = min(error, error_in_json, key=ValidationError.error_count)
        except (TypeError, ValueError):
            pass  # it is not JSON
        raise ParameterNotValidError(*_sentences(error)) from None

    def _prepared(self, value: Any) -> Any:
        """Return what ``_annotation_of_json`` takes for this value."""
        return value

    def to_json(self, value: Any) -> Any:
        """Return the JSON value of a value that ``to_python`` returned."""
        return self.adapter.dump_python(
            value, mode="json", by_alias=True, round_trip=True, warnings="none"
        )

    def _output_json(self, value: Any) -> Any:
        if self._overrides_conversion:
            return super()._output_json(value)
        return self.adapter.dump_python(value, mode="json", by_alias=True, warnings="error")


def adapter_of(annotation: Any) -> TypeAdapter[Any]:
    """Return pydantic's validator and serializer of a type."""
    try:
        return TypeAdapter(annotation, config=PYDANTIC_CONFIG)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":  # the type has its own config
            raise
        return TypeAdapter(annotation)


MAX_SENTENCES = 10  # in one error


def _sentences(error: ValidationError) -> list[str]:
    entries = error.errors(include_url=False, include_input=False)
    return [_sentence(entry) for entry in entries[:MAX_SENTENCES]]


def _sentence(entry: Any) -> str:
    """Return what is wrong, and where in the value."""
    place = "".join(f"[{step!r}]" for step in entry["loc"])
    is_ours = entry["type"] == "value_error"
    reason = str(entry["ctx"]["error"]) if is_ours else entry["msg"]
    reason = reason if reason.endswith(".") else f"{reason}."
    return f"{place}: {reason}" if place else reason


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that also allows null."""
    if not schema:
        return {}
    if "type" not in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    nullable = {**schema, "type": [*types, "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable
