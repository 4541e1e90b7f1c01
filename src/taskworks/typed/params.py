"""The parameters that a typed task may have as inputs and outputs."""

from taskworks.parameters.chosen import ChoiceParameter, EnumParameter, ModelParameter
from taskworks.parameters.parameter import Parameter, ParameterNotValidError
from taskworks.parameters.plain import (
    BooleanParameter,
    DictParameter,
    FloatParameter,
    IntParameter,
    JSONParameter,
    ListParameter,
    NumberParameter,
    StringParameter,
)
from taskworks.parameters.text import (
    DateParameter,
    DateTimeParameter,
    DecimalParameter,
    DurationParameter,
    EmailParameter,
    TimeParameter,
    URLParameter,
    UUIDParameter,
)

__all__ = [
    "BooleanParameter",
    "ChoiceParameter",
    "DateParameter",
    "DateTimeParameter",
    "DecimalParameter",
    "DictParameter",
    "DurationParameter",
    "EmailParameter",
    "EnumParameter",
    "FloatParameter",
    "IntParameter",
    "JSONParameter",
    "ListParameter",
    "ModelParameter",
    "NumberParameter",
    "Parameter",
    "ParameterNotValidError",
    "StringParameter",
    "TimeParameter",
    "URLParameter",
    "UUIDParameter",
]
