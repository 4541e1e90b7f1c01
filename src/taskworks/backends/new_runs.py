"""From tasks and their arguments to runs that are yet to be stored."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from taskworks import jsonvalue
from taskworks.backends.refusals import (
    MAX_ALIAS,
    defined_at_its_path,
    refuse_bad_name,
    refuse_bad_transaction,
)
from taskworks.backends.unique_tasks import unique_of
from taskworks.conf import conf
from taskworks.context import current_context
from taskworks.framework import BaseTaskBackend, task_backends
from taskworks.framework import Task as StandardTask
from taskworks.options.declared_limits import limit_of
from taskworks.options.in_force import options_changed, policy_of
from taskworks.options.limits import Limit
from taskworks.options.policy import AT_MOST_ONCE
from taskworks.options.stored import to_stored
from taskworks.reserved_metadata import OF_PARENT
from taskworks.task_copies import unvalidated_copy

if TYPE_CHECKING:
    from taskworks.store.new_runs import NewRuns, Template

MAX_TEMPLATES = 1000  # of tasks, kept per backend
OPTIONS_OF_A_RUN = ("run_after", "metadata", "owner")  # which hardly come again

_Item = tuple[str, tuple[Any, Any]]  # how an error begins that is about it, args and kwargs


class _KnownTask(NamedTuple):
    """A valid task, which keeps its ``id()`` from being another's, and what its runs share."""

    task: StandardTask
    valid_for: tuple[object, ...]
    template: "Template"


# What a task without run_after is checked against; no other is known.
_asked_of = attrgetter("supports_async_task", "supports_priority", "queues")


class MakesRuns(BaseTaskBackend):
    """A backend whose runs are rows: makes them, and stores nothing."""

    @property
    def database(self) -> str:
        """The alias of the database that has its runs."""
        raise NotImplementedError

    def new_runs(
        self,
        task: StandardTask,
        arguments: Iterable[tuple[Any, Any]],
        *,
        several: bool = False,
        names: Sequence[str] | None = None,
    ) -> "NewRuns":
        """
        Return runs that are yet to be stored. Raise what ``enqueue`` raises; ``names`` are how the
        errors begin that are about an item.
        """
        from taskworks.store.new_runs import NewRuns

        self.validate_task(task)
        template = self._template_of(task)
        if parent := _parent():
            template = template.noting({OF_PARENT: parent})
        if template.policy.transactional:
            refuse_bad_transaction(template.policy, self.database)
        limit = conf().max_json_size
        items: Iterable[_Item] = (
            zip(names, arguments, strict=True) if names else _named(arguments, several=several)
        )
        if template.limit is not None:
            items = [*items]
        texts = [
            (
                jsonvalue.stored_text([*args], f"{item}args", limit),
                jsonvalue.stored_text(dict(kwargs), f"{item}kwargs", limit),
            )
            for item, (args, kwargs) in items
        ]
        lanes = None if template.limit is None else _lanes(template.limit, task, items)
        return NewRuns(template, texts, task.run_after, lanes)

    def _known_template_of(self, task: StandardTask) -> "Template | None":
        """Return the template of a task that was valid, and that cannot change; None for others."""
        known = self._known_tasks.get(id(task))
        if known is None or known.task is not task:
            return None
        return known.template if known.valid_for == _asked_of(self) else None

    def _template_of(self, task: StandardTask) -> "Template":
        """Return what the task's runs share, made once for tasks that will come again."""
        return self._known_template_of(task) or self._template_of_unknown(task)

    def _template_of_unknown(self, task: StandardTask) -> "Template":
        limit = _limit_of(task)
        # A unique key may differ from run to run, and changes nothing of this.
        plain = unvalidated_copy(task, unique=None) if unique_of(task) else task
        if any(getattr(task, option, None) for option in OPTIONS_OF_A_RUN):
            return self._new_template(plain, limit)
        try:
            template = self._templates(plain, limit)
        except TypeError:  # an option is not hashable
            return self._new_template(plain, limit)
        if plain is task and limit is None:
            self._remember(task, template)
        return template

    def _remember(self, task: StandardTask, template: "Template") -> None:
        if len(self._known_tasks) >= MAX_TEMPLATES:
            self._known_tasks.clear()
        *supported, queues = _asked_of(self)
        self._known_tasks[id(task)] = _KnownTask(task, (*supported, frozenset(queues)), template)

    @cached_property
    def _known_tasks(self) -> "dict[int, _KnownTask]":
        return {}

    @cached_property
    def _templates(self) -> "Callable[[StandardTask, Limit | None], Template]":
        return lru_cache(maxsize=MAX_TEMPLATES)(self._new_template)

    def _new_template(self, task: StandardTask, limit: Limit | None) -> "Template":
        from taskworks.store.new_runs import Template

        definition = defined_at_its_path(task)
        refuse_bad_name("The backend's alias", self.alias, MAX_ALIAS)
        policy, changed = policy_of(task), options_changed(task, definition)
        metadata = getattr(task, "metadata", None) or {}
        columns = {
            "backend": self.alias,
            "queue_name": task.queue_name,
            "task_path": task.module_path,
            "callable_path": getattr(task, "callable_path", None),
            "owner": getattr(task, "owner", None),
            "limit_name": limit and limit.name,
            "rank": -int(task.priority),
            "executor": policy.executor,
            "at_most_once": policy.delivery == AT_MOST_ONCE,
            "options": to_stored(changed) if changed else {},
            "metadata": jsonvalue.round_trip(metadata, "metadata"),
        }
        return Template(columns, policy, limit)


def _parent() -> str | None:
    """Return the id of the stored run whose task enqueues here; None outside of one."""
    context = current_context()
    if context is None:
        return None
    run = context.task_result
    is_stored = isinstance(task_backends[run.backend], MakesRuns)
    return run.id if is_stored else None


def _limit_of(task: StandardTask) -> Limit | None:
    """Return the task's limit; raise InvalidTask if nobody declares it, or it does not fit."""
    given = getattr(task, "limit", None)
    if given is None:
        return None
    limit = limit_of(given)
    limit.refuse_function(task.func, takes_context=task.takes_context)
    return limit


def _lanes(limit: Limit, task: StandardTask, items: Iterable["_Item"]) -> list[str]:
    """Return the lane of each item; raise as ``Limit.lane``, with what the item is called."""
    lanes = []
    for item, (args, kwargs) in items:
        try:
            lanes.append(limit.lane(task.func, args, kwargs, takes_context=task.takes_context))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{item}{error}") from None
    return lanes


def _named(arguments: Iterable[tuple[Any, Any]], *, several: bool) -> Iterator["_Item"]:
    """Yield how an error begins that is about an item, and the item."""
    for index, item in enumerate(arguments):
        yield f"item {index}: " if several else "", item
