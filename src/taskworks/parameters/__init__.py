"""What goes into a task and what comes out: parameters, and sets of them. The door to pydantic."""

try:
    import pydantic  # noqa: F401 - this package's own door to it
except ImportError as error:
    raise ImportError("Typed tasks need pydantic: pip install django-taskworks[typed].") from error

from taskworks.parameters.field_set import Fields
from taskworks.parameters.parameter import Parameter, ParameterNotValidError
from taskworks.parameters.typed import Typed

__all__ = ["Fields", "Parameter", "ParameterNotValidError", "Typed"]
