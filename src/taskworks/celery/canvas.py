"""
Celery's signatures, and what is made of them: chains, groups and chords. Each is stored as a
workflow, whose steps follow each other; a signature by itself is enqueued as a run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from taskworks.celery.canvas_steps import (
    NOTHING,
    Given,
    Placed,
    placed_group,
    placed_run,
    placed_side_by_side,
    stored_result,
)
from taskworks.celery.group_result import GroupResult
from taskworks.celery.names import task_named
from taskworks.celery.not_carried import not_carried
from taskworks.celery.options import of_call
from taskworks.celery.result import AsyncResult
from taskworks.framework import ImmediateBackend
from taskworks.task_call import TaskCall
from taskworks.workflows import Workflow

if TYPE_CHECKING:
    from taskworks.celery.task import CeleryTask

R = TypeVar("R")


class Canvas:
    """What can be enqueued, and be a part of a chain."""

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """
        Enqueue it, in the caller's transaction. The arguments come before those of the signatures
        that begin; of options, see ``set()`` of each. Raise what ``CeleryTask.apply_async`` raises,
        and InvalidWorkflow for what cannot be a workflow. Then nothing is written.
        """
        changed = self.set(**options) if options else self
        given = (args or (), kwargs or {})
        return changed._executed_here(given) if changed._is_eager() else changed._enqueued(given)

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue it with these arguments; see apply_async()."""
        return self.apply_async(args, kwargs)

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Execute it here, one after the other, and return the outcome; nothing is stored."""
        return self._executed_here((args or (), kwargs or {}), "apply")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue it, as in Celery; only a signature is called as its function."""
        return self.apply_async(args, kwargs)

    def __or__(self, other: Any) -> "chain":
        if not isinstance(other, Canvas):
            return NotImplemented
        return chain(self, other)

    def set(self, **options: Any) -> Any:
        """Return a copy with options of ``apply_async``."""
        raise NotImplementedError

    def _signatures(self) -> "Iterator[Signature[Any]]":
        """Yield the signatures in it."""
        raise NotImplementedError

    def _executed_here(self, given: Given, how: str = "apply_async") -> Any:
        raise NotImplementedError

    def _enqueued(self, given: Given) -> Any:
        """Store a workflow of what is in it; return the result of what is last."""
        workflow = Workflow(type(self).__name__)
        return stored_result(workflow, self._placed(workflow, None, given))

    def _placed(self, workflow: Workflow, before: Placed | None, given: Given = NOTHING) -> Placed:
        """Add it to the workflow, after what is before it; return where it is."""
        raise NotImplementedError

    def _is_eager(self) -> bool:
        """Whether the settings execute runs where they are enqueued, as tests do."""
        return any(isinstance(s.type.get_backend(), ImmediateBackend) for s in self._signatures())

    def _refuse(name: str) -> Any:  # type: ignore[misc] # noqa: N805
        def refuse(self: "Canvas", *args: Any, **kwargs: Any) -> Any:
            raise not_carried(f"{type(self).__name__}.{name}()", name)

        return refuse

    link, link_error, on_error = _refuse("link"), _refuse("link_error"), _refuse("link_error")
    stamp, replace = _refuse("stamp"), _refuse("replace")
    del _refuse


class Signature(Canvas, Generic[R]):
    """A task with some of its arguments, and with options of ``apply_async``."""

    def __init__(
        self,
        task: "CeleryTask[..., R]",
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
    ) -> None:
        self.type, self.immutable = task, immutable
        self.args, self.kwargs = tuple(args), dict(kwargs or {})
        self.options = dict(options or {})
        of_call(task.name, self.options, task.expires)  # which refuses what is not carried

    def __repr__(self) -> str:
        given = [*map(repr, self.args), *(f"{k}={v!r}" for k, v in self.kwargs.items())]
        return f"{self.task}({', '.join(given)})"

    @property
    def task(self) -> str:
        """The name of the task; ``type`` is the task itself."""
        return self.type.name

    name = task

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Call the function here."""
        given, named = self._with((args, kwargs))
        return self.type(*given, **named)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Enqueue a run. The arguments come before those of the signature."""
        given = self._with((args or (), kwargs or {}))
        return self.type.apply_async(*given, **{**self.options, **options})

    def clone(
        self,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> "Signature[R]":
        """Return a copy, with these arguments before its own, and these options."""
        given, named = self._with((args, kwargs or {}))
        merged = {**self.options, **options}
        return Signature(self.type, given, named, merged, immutable=self.immutable)

    def set(self, immutable: bool | None = None, **options: Any) -> "Signature[R]":
        """Return a copy with options of ``apply_async``."""
        made = self.clone(**options)
        made.immutable = self.immutable if immutable is None else immutable
        return made

    def _with(self, more: Given) -> Given:
        """Return its arguments with more of them, which an immutable one ignores."""
        if self.immutable:
            return self.args, self.kwargs
        return (*more[0], *self.args), {**self.kwargs, **more[1]}

    def _signatures(self) -> "Iterator[Signature[Any]]":
        yield self

    def _executed_here(self, given: Given, how: str = "apply_async") -> Any:
        options = self.options if how == "apply_async" else {}
        return getattr(self.type, how)(*self._with(given), **options)

    def _placed(self, workflow: Workflow, before: Placed | None, given: Given = NOTHING) -> Placed:
        return placed_run(workflow, self.task, self._call(before, given), before)

    def _call(self, before: Placed | None, given: Given) -> TaskCall:
        """Return the task with its arguments, the first of which may stand for a result."""
        args, kwargs = self._with(given if before is None else ((before.returned,), {}))
        args, kwargs = self.type._fitting(args, kwargs)
        changes = of_call(self.task, self.options, self.type.expires)
        return (self.type.using(**changes) if changes else self.type).step(*args, **kwargs)


class chain(Canvas):  # noqa: N801 - as Celery has it
    """
    What follows one another: each gets what the one before it has returned as its first argument,
    unless it is immutable (``si``). After a group, that is the list of what its members returned.
    """

    def __init__(self, *tasks: Any) -> None:
        parts = _listed("chain", tasks)
        self.tasks: list[Canvas] = []
        for part in parts:
            self.tasks += part.tasks if isinstance(part, chain) else [part]
        if not self.tasks:
            raise TypeError("A chain needs at least one signature, such as task.s(1).")

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.tasks))

    def set(self, **options: Any) -> "chain":
        """Return a copy whose first part has these options."""
        return chain(self.tasks[0].set(**options), *self.tasks[1:])

    def _signatures(self) -> Iterator[Signature[Any]]:
        for part in self.tasks:
            yield from part._signatures()

    def _executed_here(self, given: Given, how: str = "apply_async") -> Any:
        for part in self.tasks[:-1]:
            given = ((part._executed_here(given, how).get(),), {})
        return self.tasks[-1]._executed_here(given, how)

    def _placed(self, workflow: Workflow, before: Placed | None, given: Given = NOTHING) -> Placed:
        placed = self.tasks[0]._placed(workflow, before, given)
        for part in self.tasks[1:]:
            placed = part._placed(workflow, placed)
        return placed


class group(Canvas):  # noqa: N801 - as Celery has it
    """What does not wait for each other."""

    def __init__(self, *tasks: Any) -> None:
        self.tasks = _listed("group", tasks)

    def __repr__(self) -> str:
        return f"group({self.tasks!r})"

    def __len__(self) -> int:
        return len(self.tasks)

    def set(self, **options: Any) -> "group":
        """Return a copy, of which each part has these options."""
        return group([part.set(**options) for part in self.tasks])

    def _signatures(self) -> Iterator[Signature[Any]]:
        for part in self.tasks:
            yield from part._signatures()

    def _executed_here(self, given: Given, how: str = "apply_async") -> GroupResult:
        return GroupResult(None, [part._executed_here(given, how) for part in self.tasks])

    def _placed(self, workflow: Workflow, before: Placed | None, given: Given = NOTHING) -> Placed:
        if not _are_alike(self.tasks):
            members = [part._placed(workflow, before, given) for part in self.tasks]
            return placed_side_by_side(members, before)
        parts = [*self._signatures()]
        calls = [part._call(before, given) for part in parts]
        return placed_group(workflow, [part.task for part in parts], calls, before)


class chord(chain):  # noqa: N801 - as Celery has it
    """A group, and what follows when all of it has succeeded: ``chord(header)(body)``."""

    def __init__(self, header: Any, body: Canvas | None = None) -> None:
        self.header = header if isinstance(header, group) else group(header)
        super().__init__(self.header, *([] if body is None else [body]))
        self.body = body

    def __call__(self, body: Any = None, *args: Any, **options: Any) -> Any:
        """Enqueue it, with this body."""
        if args:
            raise TypeError("A chord is called with its body: chord([add.s(1)])(total.s()).")
        return chord(self.header, body or self.body).apply_async(**options)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Enqueue it; see ``Canvas.apply_async``. Options are those of the body."""
        if self.body is None:
            raise TypeError("A chord needs a body: chord([add.s(1)])(total.s()).")
        return super().apply_async(args, kwargs, **options)

    def set(self, **options: Any) -> "chord":
        """Return a copy whose body has these options."""
        return chord(self.header, None if self.body is None else self.body.set(**options))


def signature(
    task: Any,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    immutable: bool = False,
    **others: Any,
) -> Signature[Any]:
    """Return the signature of a task, or of the task with this name, whose module is imported."""
    found = task_named(task) if isinstance(task, str) else task
    if found is None or not hasattr(found, "celery"):
        raise TypeError(
            f"signature() takes a task, or the name of one, and not {task!r:.100}. Is the module "
            "of the task imported?"
        )
    return Signature(found, args, kwargs, {**(options or {}), **others}, immutable=immutable)


def _are_alike(parts: Sequence[Canvas]) -> bool:
    """Whether these are runs of one task with the same options, or there are none."""
    return all(isinstance(one, Signature) for one in parts) and all(
        one.type is parts[0].type and one.options == parts[0].options  # type: ignore[attr-defined]
        for one in parts
    )


def _listed(kind: str, tasks: tuple[Any, ...]) -> list[Any]:
    """Return the parts, which may be given as one iterable; raise TypeError for others."""
    if len(tasks) == 1 and not isinstance(tasks[0], Canvas) and isinstance(tasks[0], Iterable):
        tasks = tuple(tasks[0])
    for part in tasks:
        if not isinstance(part, Canvas):
            raise TypeError(
                f"A {kind} is made of signatures such as task.s(1), and not of {part!r:.100}."
            )
    return [*tasks]
