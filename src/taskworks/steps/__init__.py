"""Steps of a task that are not repeated, sleeps, and waits for events, as the task sees them."""

from taskworks.steps.names import MAX_STEP_NAME, step_key
from taskworks.steps.requests import Sent
from taskworks.steps.steps import MAX_STEPS, Steps

__all__ = ["MAX_STEPS", "MAX_STEP_NAME", "Sent", "Steps", "step_key"]
