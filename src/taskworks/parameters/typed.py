"""What is known of a typed task: its name, its inputs and its outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from taskworks.parameters.field_set import Fields

RESULT = "result"  # the name of a function's one output


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Typed:
    """
    The inputs and outputs of a task, and what an API needs to know of it.

    ``bare``: its run's return value is that of its one output; otherwise it is a dict of outputs.
    """

    name: str
    inputs: Fields
    outputs: Fields
    description: str = ""
    bare: bool = False
    permission_classes: Sequence[Any] | None = None  # None: as the API has them
    throttle_scope: str | None = None

    def encoded(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call as they are stored; raise InvalidInputs."""
        return self.inputs.encoded(self._by_name(args, kwargs))

    def decoded(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call as its function gets them; raise InvalidInputs."""
        return self.inputs.validate(self._by_name(args, kwargs))

    def returned(self, value: Any) -> Any:
        """What a function has returned, as it is stored; raise InvalidOutputs."""
        outputs = self.outputs.encoded(self._outputs_in(value))
        return outputs.get(RESULT) if self.bare else outputs

    def shown(self, return_value: Any) -> dict[str, Any]:
        """The outputs in a run's return value, by their names."""
        if self.bare:
            return {RESULT: return_value} if self.outputs else {}
        return dict(return_value) if isinstance(return_value, Mapping) else {}

    def _by_name(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        if not args:
            return kwargs
        if len(args) > len(self.inputs):
            raise TypeError(
                f"{self.name} has {len(self.inputs)} inputs, and {len(args)} are given."
            )
        positional = dict(zip(self.inputs, args, strict=False))
        for name in positional:
            if name in kwargs:
                raise TypeError(f"{self.name} is given the input {name!r} twice.")
        return {**positional, **kwargs}

    def _outputs_in(self, value: Any) -> Any:
        """By their names: one may be returned bare, and nothing as None."""
        only = next(iter(self.outputs)) if len(self.outputs) == 1 else None
        if value is None and not (only and self.outputs[only].null):
            return {}
        is_bare = self.bare or not isinstance(value, Mapping) or {*value} != {only}
        return {only: value} if only and is_bare else value
