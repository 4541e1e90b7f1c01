"""Parameters, the inputs and outputs of typed tasks. The only package that imports pydantic."""

try:
    import pydantic  # noqa: F401 - report a missing extra here
except ImportError as error:
    raise ImportError(
        "Typed tasks need pydantic: pip install 'django-taskworks[typed]'."
    ) from error

from taskworks.parameters.fields import Fields
from taskworks.parameters.parameter import Parameter, ParameterNotValidError
from taskworks.parameters.signature import Typed

__all__ = ["Fields", "Parameter", "ParameterNotValidError", "Typed"]
