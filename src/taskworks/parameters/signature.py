"""``Typed``: the signature of a typed task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from taskworks.parameters.fields import Fields

RESULT_NAME = "result"  # of the only output of a function


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Typed:
    """
    The name, inputs and outputs of a task, and what an API needs to offer it.

    ``bare``: the run's return value is the value of the only output; otherwise it is a dict of
    outputs by name.
    """

    name: str
    inputs: Fields
    outputs: Fields
    description: str = ""
    bare: bool = False
    permission_classes: Sequence[Any] | None = None  # None: only the API's own
    throttle_scope: str | None = None
    failure_message: str = ""  # what users of an API are told if it fails

    def encoded(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call as they are stored; raise InvalidInputs."""
        return self.inputs.encoded(self._by_name(args, kwargs))

    def decoded(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call as the function gets them; raise InvalidInputs."""
        return self.inputs.validate(self._by_name(args, kwargs))

    def returned(self, value: Any) -> Any:
        """Return the function's return value as it is stored; raise InvalidOutputs."""
        outputs = self.outputs.encoded(self._outputs_in(value))
        return outputs.get(RESULT_NAME) if self.bare else outputs

    def shown(self, return_value: Any) -> dict[str, Any]:
        """Return the outputs in a run's return value, by name."""
        if self.bare:
            return {RESULT_NAME: return_value} if self.outputs else {}
        return dict(return_value) if isinstance(return_value, Mapping) else {}

    def _by_name(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        if not args:
            return kwargs
        if len(args) > len(self.inputs):
            raise TypeError(
                f"{self.name} takes {len(self.inputs)} inputs, but {len(args)} were given."
            )
        positional = dict(zip(self.inputs, args, strict=False))
        for name in positional:
            if name in kwargs:
                raise TypeError(f"{self.name} got the input {name!r} twice.")
        return {**positional, **kwargs}

    def _outputs_in(self, value: Any) -> Any:
        """Return the outputs by name; a single output may be bare, and None means no outputs."""
        only = next(iter(self.outputs)) if len(self.outputs) == 1 else None
        if value is None and not (only and self.outputs[only].null):
            return {}
        is_bare = self.bare or not isinstance(value, Mapping) or {*value} != {only}
        return {only: value} if only and is_bare else value
