"""Parameters of JSON's own types, with the conversions that django-task-api's users rely on."""

from functools import cached_property
from typing import Annotated, Any, ClassVar, Unpack

from pydantic import BeforeValidator, Field, PlainSerializer, WrapValidator

from taskworks.exceptions import InvalidTask
from taskworks.parameters.parameter import Common, Parameter, ValidatedParameter


class JSONParameter(Parameter):
    """Whatever JSON has: an object, a list, text, a number, true, false; null if it is allowed."""

    schema: ClassVar[dict[str, Any]] = {"type": ["object", "array", "string", "number", "boolean"]}

    def _accepted(self, value: Any, is_output: bool) -> Any:
        if value is None:
            raise ValueError("Null is not allowed.")
        return super()._accepted(value, is_output)


class StringParameter(ValidatedParameter):
    """Text; a number becomes text. ``pattern`` is a regular expression that it must contain."""

    type: ClassVar[Any] = Annotated[str, Field(coerce_numbers_to_str=True)]

    def __init__(
        self,
        required: bool | None = None,
        *,
        min_length: int | None = None,
        max_length: int | None = None,
        pattern: str | None = None,
        **common: Unpack[Common],
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


def no_boolean(value: Any) -> Any:
    """JSON's true is no number, although Python's True is 1."""
    if isinstance(value, bool):
        raise ValueError("A boolean is no number.")
    return value


class RangedParameter(ValidatedParameter):
    """A value with a least and a greatest one."""

    def __init__(
        self,
        required: bool | None = None,
        *,
        min_value: Any = None,
        max_value: Any = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(required, **common)
        self.min_value, self.max_value = min_value, max_value

    @cached_property
    def annotation(self) -> Any:
        return self.bounded(self.type, ge=self.min_value, le=self.max_value)


class IntParameter(RangedParameter):
    """A whole number: 6, 6.0 or "6", and not 5.9."""

    type: ClassVar[Any] = int
    marks: ClassVar[tuple[Any, ...]] = (BeforeValidator(no_boolean),)


class FloatParameter(RangedParameter):
    """A finite number, as a float: 5.3, 5 or "5.3"."""

    type: ClassVar[Any] = Annotated[float, Field(allow_inf_nan=False)]
    marks: ClassVar[tuple[Any, ...]] = (BeforeValidator(no_boolean),)


def _as_written(value: Any, validate: Any) -> int | float:
    """A whole number stays one, and text that has one becomes one."""
    number: float = validate(value)
    if isinstance(value, int):
        return value
    return int(number) if isinstance(value, str) and number.is_integer() else number


class NumberParameter(FloatParameter):
    """A finite number: an int or a float as it is, or as the text has it."""

    marks: ClassVar[tuple[Any, ...]] = (
        *FloatParameter.marks,
        WrapValidator(_as_written),
        PlainSerializer(lambda number: number),
    )


class BooleanParameter(ValidatedParameter):
    """True or false; 1 and 0, "true" and "false" are too."""

    type: ClassVar[Any] = bool


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float | bool | dict) else value


class ListParameter(ValidatedParameter):
    """A list, each item of which is a parameter; a value that is no list becomes a list of one."""

    marks: ClassVar[tuple[Any, ...]] = (BeforeValidator(_listed),)

    def __init__(
        self,
        param_type: Parameter,
        required: bool | None = None,
        *,
        min_length: int | None = None,
        max_length: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(required, **common)
        if not isinstance(param_type, Parameter):
            raise InvalidTask(
                f"A ListParameter is of parameters, such as IntParameter(), not {param_type!r}."
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


class DictParameter(JSONParameter):
    """An object, or a list, of whatever JSON has."""

    schema: ClassVar[dict[str, Any]] = {"type": ["object", "array"]}

    def _accepted(self, value: Any, is_output: bool) -> Any:
        if not isinstance(value, dict | list):
            raise ValueError(f"An object or a list is wanted, not {type(value).__name__}.")
        return super()._accepted(value, is_output)
