"""Parameters of JSON's own types, with the conversions of django-task-api."""

from functools import cached_property
from typing import Annotated, Any, ClassVar, Unpack

from pydantic import BeforeValidator, Field, PlainSerializer, TypeAdapter, WrapValidator

from taskworks.exceptions import InvalidTask
from taskworks.parameters.parameter import (
    CommonOptions,
    Parameter,
    ValidatedParameter,
    adapter_of,
)


class JSONParameter(Parameter):
    """Any JSON value; null only if ``null=True``."""

    schema: ClassVar[dict[str, Any]] = {"type": ["object", "array", "string", "number", "boolean"]}

    def _accepted(self, value: Any, is_output: bool) -> Any:
        if value is None:
            raise ValueError("Null is not allowed.")
        return super()._accepted(value, is_output)


class StringParameter(ValidatedParameter):
    """Text; a number becomes text. ``pattern``, a regular expression, may match anywhere."""

    type: ClassVar[Any] = Annotated[str, Field(coerce_numbers_to_str=True)]

    def __init__(
        self,
        required: bool | None = None,
        *,
        min_length: int | None = None,
        max_length: int | None = None,
        pattern: str | None = None,
        **common: Unpack[CommonOptions],
    ) -> None:
        super().__init__(required, **common)
        self.min_length, self.max_length, self.pattern = min_length, max_length, pattern

    @cached_property
    def annotation(self) -> Any:
        return self.bounded(
            self.type,
            min_length=self.min_length,
            max_length=self.max_length,
            pattern=self.pattern,
        )


def reject_boolean(value: Any) -> Any:
    """Return the value; raise ValueError for True and False, which in Python equal 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("A boolean is not accepted as a number.")
    return value


class RangedParameter(ValidatedParameter):
    """A value between ``min_value`` and ``max_value``, both inclusive and optional."""

    def __init__(
        self,
        required: bool | None = None,
        *,
        min_value: Any = None,
        max_value: Any = None,
        **common: Unpack[CommonOptions],
    ) -> None:
        super().__init__(required, **common)
        self.min_value, self.max_value = min_value, max_value

    @cached_property
    def annotation(self) -> Any:
        return self.bounded(self.type, ge=self.min_value, le=self.max_value)


class IntParameter(RangedParameter):
    """An integer: 6, 6.0 or "6", but not 5.9."""

    type: ClassVar[Any] = int
    marks: ClassVar[tuple[Any, ...]] = (BeforeValidator(reject_boolean),)


class FloatParameter(RangedParameter):
    """A finite number, as a float: 5.3, 5 or "5.3"."""

    type: ClassVar[Any] = Annotated[float, Field(allow_inf_nan=False)]
    marks: ClassVar[tuple[Any, ...]] = (BeforeValidator(reject_boolean),)


def _int_if_integer(value: Any, validate: Any) -> int | float:
    """Keep an int, and convert the text of an integer to an int."""
    number: float = validate(value)
    if isinstance(value, int):
        return value
    return int(number) if isinstance(value, str) and number.is_integer() else number


class NumberParameter(FloatParameter):
    """A finite number: an int or a float as given, or text of either."""

    marks: ClassVar[tuple[Any, ...]] = (
        *FloatParameter.marks,
        WrapValidator(_int_if_integer),
        PlainSerializer(lambda number: number),
    )


class BooleanParameter(ValidatedParameter):
    """True or false; also 1 and 0, and text such as "true" and "no"."""

    type: ClassVar[Any] = bool


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float | bool | dict) else value


class ListParameter(ValidatedParameter):
    """A list of ``param_type``; a single value becomes a list with one item."""

    marks: ClassVar[tuple[Any, ...]] = (BeforeValidator(_as_list),)

    def __init__(
        self,
        param_type: Parameter,
        required: bool | None = None,
        *,
        min_length: int | None = None,
        max_length: int | None = None,
        **common: Unpack[CommonOptions],
    ) -> None:
        super().__init__(required, **common)
        if not isinstance(param_type, Parameter):
            raise InvalidTask(
                f"The items of a ListParameter must be a parameter, such as IntParameter(), not "
                f"{param_type!r}."
            )
        self.param_type, self.min_length, self.max_length = param_type, min_length, max_length

    @property
    def reads_database(self) -> bool:  # type: ignore[override]
        return self.param_type.reads_database

    @cached_property
    def annotation(self) -> Any:
        return self.bounded(
            list[self.param_type.nested],  # type: ignore[name-defined]
            min_length=self.min_length,
            max_length=self.max_length,
        )

    @cached_property
    def _annotation_of_json(self) -> Any:
        return Annotated[
            list[self.param_type._nested_of_json],  # type: ignore[name-defined]
            Field(min_length=self.min_length, max_length=self.max_length),
        ]

    @cached_property
    def _adapter_of_json(self) -> TypeAdapter[Any]:
        return adapter_of(self._annotation_of_json)

    def _prepared(self, value: Any) -> Any:
        return _as_list(value)


class DictParameter(JSONParameter):
    """A JSON object, or a list."""

    schema: ClassVar[dict[str, Any]] = {"type": ["object", "array"]}

    def _accepted(self, value: Any, is_output: bool) -> Any:
        if not isinstance(value, dict | list):
            raise ValueError(f"Must be an object or a list, not {type(value).__name__}.")
        return super()._accepted(value, is_output)
