"""The body of a request that sends an event to a run."""

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from taskworks.rest.serializers import StrictSerializer
from taskworks.steps.names import MAX_STEP_NAME, validate_step_name


class EventNameField(serializers.CharField):
    """The name of an event, taken as it is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_STEP_NAME, trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise ValidationError("Not a valid string.")
        name = super().to_internal_value(data)
        try:
            validate_step_name(name)
        except (TypeError, ValueError) as error:
            raise ValidationError(str(error)) from None
        return name


class SendEventSerializer(StrictSerializer):
    """The body of a request that sends an event. Other keys are errors."""

    name = EventNameField(help_text="The name of the event.")
    value = serializers.JSONField(
        required=False, allow_null=True, default=None, help_text="Any JSON."
    )
