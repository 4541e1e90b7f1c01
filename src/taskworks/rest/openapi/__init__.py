"""
The OpenAPI document. drf-spectacular derives it from the serializers, where it is installed; this
package is the only one that imports it.
"""

from importlib.util import find_spec
from typing import Any

from rest_framework.schemas.inspectors import DefaultSchema

has_spectacular = find_spec("drf_spectacular") is not None


def view_schema() -> Any:
    """Return what describes a view of the API, whatever the project describes its own with."""
    if not has_spectacular:
        return DefaultSchema()
    from taskworks.rest.openapi.auto_schema import TaskAutoSchema

    return TaskAutoSchema()
