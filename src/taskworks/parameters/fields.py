"""``Fields``: the inputs or the outputs of a task, which are validated together."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

from pydantic import PydanticUserError, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import SchemaError

from taskworks import jsonvalue
from taskworks.conf import nearest
from taskworks.exceptions import InvalidInputs, InvalidOutputs, InvalidTask
from taskworks.parameters.parameter import (
    Parameter,
    ParameterNotValidError,
    ValidatedParameter,
)
from taskworks.parameters.read_back import why_different, why_unreadable

Kind = Literal["inputs", "outputs"]
Errors = dict[str, list[str]]
Schema = dict[str, Any]
Key = TypeVar("Key")

DEFINITIONS = "#/$defs/{model}"  # where a schema has those that it refers to
MAX_UNKNOWN_NAMES = 20  # in one error
MAX_COMPARED_LENGTH = 100  # characters of an unknown name that are compared with known names


class HonestSchema(GenerateJsonSchema):
    """Says nothing of an output that a project's function writes, unless its annotation does."""

    def ser_schema(self, schema: Any) -> dict[str, Any] | None:
        is_unknown = (
            schema["type"] in ("function-plain", "function-wrap")
            and schema.get("return_schema") is None
            and _is_of_a_project(schema["function"])
        )
        return {} if is_unknown else super().ser_schema(schema)


def _is_of_a_project(function: Any) -> bool:
    package = str(getattr(function, "__module__", "")).partition(".")[0]
    return package not in ("pydantic", "taskworks")


class Fields(Mapping[str, Parameter]):
    """An immutable, ordered mapping of names to parameters."""

    def __init__(self, parameters: Mapping[str, Parameter], kind: Kind = "inputs") -> None:
        if not isinstance(parameters, Mapping):
            raise InvalidTask(f"{kind} must be a dict of parameters, not {parameters!r}.")
        self._parameters = dict(parameters)
        self.kind = kind
        for name, parameter in self._parameters.items():
            _validate_parameter(name, parameter, kind)

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self) -> str:
        return f"<Fields: {self.kind} {[*self]}>"

    def validate(self, data: Any) -> dict[str, Any]:
        """
        Return the Python values of ``data``, including defaults.

        Raise InvalidInputs, or InvalidOutputs, with all errors by name: a value that does not fit,
        a required value that is missing, an unknown name. If ``data`` is not a mapping, the only
        error has the name "inputs" or "outputs".
        """
        if not isinstance(data, Mapping):
            raise self._error({self.kind: [f"Must be an object, not {_type_name(data)}."]})
        errors: Errors = self._unknown(data)
        values = {}
        for name, parameter in self.items():
            try:
                if name in data:
                    values[name] = parameter.validated(data[name], is_output=self.kind == "outputs")
                elif parameter.required:
                    errors[name] = [f"This {self.kind[:-1]} is required."]
                elif parameter.has_default:
                    values[name] = parameter.default_value()
            except ParameterNotValidError as error:
                errors[name] = error.errors
        if errors:
            raise self._error(errors)
        return values

    def encoded(self, data: Any) -> dict[str, Any]:
        """
        Return the JSON values of ``data``, as they are stored.

        Raise as ``validate`` does, and for values that cannot be stored: NUL characters, integers
        of more than 64 bits, too many bytes, inputs that are not read back as they were.
        """
        values = self.validate(data)
        try:
            encoded = {name: self._encoded(name, value) for name, value in values.items()}
            plain: dict[str, Any] = jsonvalue.round_trip(encoded, self.kind)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise self._error(self._not_storable(values, str(error))) from None
        if self.kind == "inputs" and (errors := self._not_read_back(values, plain)):
            raise self._error(errors)
        return plain

    def json_schema(self, *, ref_template: str = DEFINITIONS) -> Schema:
        """Return the JSON Schema (2020-12) of an object with these fields."""
        schemas, definitions = json_schemas({self.kind: self}, ref_template=ref_template)
        return {**schemas[self.kind], **({"$defs": definitions} if definitions else {})}

    def _json_schema_with(self, schemas: Mapping[str, Schema]) -> Schema:
        """Return the schema of the object, given those of its fields that pydantic validates."""
        properties = {
            name: parameter.described(name, schemas.get(name, parameter.schema))
            for name, parameter in self.items()
        }
        required = [name for name, parameter in self.items() if parameter.required]
        return {
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }

    def _adapters(self) -> Iterator[tuple[str, Any, TypeAdapter[Any]]]:
        """Yield name, mode and adapter of each field that pydantic validates."""
        mode = "validation" if self.kind == "inputs" else "serialization"
        for name, parameter in self.items():
            if isinstance(parameter, ValidatedParameter):
                yield name, mode, parameter.adapter

    def _unknown(self, data: Mapping[Any, Any]) -> Errors:
        unknown = [name for name in data if name not in self._parameters][:MAX_UNKNOWN_NAMES]
        return {str(name): [self._not_known(str(name)[:MAX_COMPARED_LENGTH])] for name in unknown}

    def _not_known(self, name: str) -> str:
        known = nearest(name, [*self]) if self._parameters else ""
        return f"There is no such {self.kind[:-1]}.{known}"

    def _encoded(self, name: str, value: Any) -> Any:
        return self[name].encoded(value, is_output=self.kind == "outputs")

    def _not_storable(self, values: Mapping[str, Any], reason: str) -> Errors:
        """Return which values cannot be stored, and why; the largest, if each of them can."""
        errors, sizes = {}, {}
        for name, value in values.items():
            try:
                plain = jsonvalue.round_trip(self._encoded(name, value), name)
                sizes[name] = jsonvalue.size(plain)
            except (TypeError, ValueError, ArithmeticError) as error:
                errors[name] = [str(error)]
        return errors or {max(sizes, key=lambda name: sizes[name]): [reason]}

    def _not_read_back(self, values: Mapping[str, Any], plain: Mapping[str, Any]) -> Errors:
        errors: Errors = {}
        for name, value in values.items():
            # A row is read back by its key; to look would be another query.
            if self[name].reads_database:
                continue
            if reason := _why_not_read_back(self[name], value, plain[name]):
                errors[name] = ParameterNotValidError(reason).errors
        return errors

    def _error(self, errors: Errors) -> Exception:
        return (InvalidInputs if self.kind == "inputs" else InvalidOutputs)(errors)


def json_schemas(
    fields: Mapping[Key, Fields], *, ref_template: str = DEFINITIONS
) -> tuple[dict[Key, Schema], dict[str, Schema]]:
    """
    Return the JSON Schema of each of these, and the definitions that they refer to: one for each
    model, two if its JSON is different as an input and as an output.
    """
    adapters = [
        ((key, name), mode, adapter)
        for key, each in fields.items()
        for name, mode, adapter in each._adapters()
    ]
    found, definitions = TypeAdapter.json_schemas(
        adapters, ref_template=ref_template, schema_generator=HonestSchema
    )
    schemas: dict[Key, dict[str, Schema]] = {key: {} for key in fields}
    for ((key, name), _), schema in found.items():
        schemas[key][name] = schema
    objects = {key: each._json_schema_with(schemas[key]) for key, each in fields.items()}
    return objects, definitions.get("$defs", {})


def _why_not_read_back(parameter: Parameter, value: Any, plain: Any) -> str | None:
    """Return why a run would not get this input from its JSON value; None if it would."""
    try:
        return why_different(value, parameter.validated(plain))
    except ParameterNotValidError as error:
        return why_unreadable(value, error)


def fields_of(owner: str, parameters: Mapping[str, Parameter], kind: Kind) -> Fields:
    """Return the inputs or outputs of a task; raise InvalidTask, which names ``owner``."""
    try:
        return Fields(parameters, kind)
    except InvalidTask as error:
        raise InvalidTask(f"{owner}: {error}") from error


def _validate_parameter(name: Any, parameter: Any, kind: Kind) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidTask(f"{name!r} cannot be the name of an {kind[:-1]}.")
    if not isinstance(parameter, Parameter):
        raise InvalidTask(
            f"The {kind[:-1]} {name!r} must be a parameter, such as IntParameter(), not "
            f"{parameter!r}."
        )
    _validate_bounds(name, parameter)
    _validate_default(name, parameter)


def _validate_bounds(name: str, parameter: Parameter) -> None:
    """Raise InvalidTask if pydantic cannot make a validator with the parameter's bounds."""
    # Models may not be loaded yet; a check reports those parameters later.
    if isinstance(parameter, ValidatedParameter) and not parameter.reads_database:
        try:
            parameter.adapter  # noqa: B018 - a cached property, computed here
        except (PydanticUserError, SchemaError, TypeError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), "")
            raise InvalidTask(f"{name!r}, {parameter!r}, cannot be validated: {reason}") from error


def _validate_default(name: str, parameter: Parameter) -> None:
    if parameter.has_default and not callable(parameter.default) and not parameter.reads_database:
        try:
            parameter.default_value()
        except ParameterNotValidError as error:
            raise InvalidTask(
                f"The default {parameter.default!r} of {name!r} does not fit: {error}"
            ) from None


def _type_name(data: Any) -> str:
    return "null" if data is None else type(data).__name__
