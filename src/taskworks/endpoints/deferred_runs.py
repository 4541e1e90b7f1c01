"""``DeferredRuns``: the runs that one request enqueues for its deferrable tasks."""

import asyncio
import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync

from taskworks import framework, jsonvalue
from taskworks.conf import conf
from taskworks.correlation import METADATA_KEY
from taskworks.endpoints.decorators import DeferrableEndpointTask
from taskworks.endpoints.enqueuers import BackgroundEnqueuer, Result, SynchronousEnqueuer
from taskworks.endpoints.resource_reference import Reference, reference_to
from taskworks.endpoints.task_plan import TaskPlan, full_name
from taskworks.exceptions import InvalidEndpoint
from taskworks.options.owner import owner_of


class DeferredRun(NamedTuple):
    """A run to enqueue."""

    declared: DeferrableEndpointTask
    task: framework.Task
    args: list[Any]  # the first one is the reference to the resource
    kwargs: dict[str, Any]


class DeferredRuns:
    """
    The runs of one endpoint and its resource, in one request.

    All methods raise InvalidEndpoint for anything invalid; then nothing is enqueued.
    """

    def __init__(self, plan: TaskPlan, endpoint: Any, correlation_id: str | None) -> None:
        self._plan, self._endpoint = plan, endpoint
        self._metadata = {METADATA_KEY: correlation_id} if correlation_id else {}
        self._owner = _owner_of(getattr(endpoint.request, "user", None))
        self._runs: dict[str, DeferredRun] = {}
        self._skipped: set[str] = set()

    def decide(self) -> None:
        """Skip, execute or defer each deferrable task, in their order."""
        for declared in self._plan.deferrable:
            if self._is_skipped(declared):
                self._skipped.add(declared.name)
            else:
                self._execute_or_defer(declared)

    def enqueue(self) -> list[Result]:
        """Enqueue the deferred runs; return the results of those that exist."""
        if not self._runs:
            return []
        using = next(iter(self._runs.values())).args[0]["using"]
        is_synchronous = conf().endpoint_tasks_synchronous
        enqueuer = (SynchronousEnqueuer if is_synchronous else BackgroundEnqueuer)(using)
        results: dict[str, Result | None] = {}
        with enqueuer.all_or_none() if len(self._runs) > 1 else nullcontext():
            for name, run in self._runs.items():
                results[name] = self._enqueued(run, results, enqueuer)
        return [result for result in results.values() if result]

    def _is_skipped(self, declared: DeferrableEndpointTask) -> bool:
        # A skipped task never succeeds, so a task that waits for it is skipped as well.
        if self._plan.waits_for(declared) in self._skipped:
            return True
        return bool(declared.execute_unless and declared.execute_unless(self._endpoint))

    def _execute_or_defer(self, declared: DeferrableEndpointTask) -> None:
        delay = declared.delay
        if callable(delay):
            delay = declared.seconds(delay(self._endpoint))
        always = declared.always_defer
        if callable(always):
            always = always(self._endpoint)
        waits = self._plan.waits_for(declared) in self._runs
        reference = self._reference(declared)
        args, kwargs = self._arguments(declared)
        if delay or always or waits:
            task = self._task(declared, delay)
            self._runs[declared.name] = DeferredRun(declared, task, [reference, *args], kwargs)
        else:
            self._execute(declared, args, kwargs)

    def _reference(self, declared: DeferrableEndpointTask) -> Reference:
        try:
            return reference_to(self._endpoint.resource)
        except InvalidEndpoint as error:
            raise self._error(declared, str(error)) from None

    def _arguments(self, declared: DeferrableEndpointTask) -> tuple[list[Any], dict[str, Any]]:
        if declared.task_args_factory is None:
            return [], {}
        match returned := declared.task_args_factory(self._endpoint):
            case (list() | tuple() as args, Mapping() as kwargs):
                pass
            case _:
                raise self._error(
                    declared, f"task_args_factory must return (args, kwargs), not {returned!r}."
                )
        try:
            return (
                jsonvalue.round_trip(list(args), "args"),
                jsonvalue.round_trip(dict(kwargs), "kwargs"),
            )
        except (TypeError, ValueError) as error:
            raise self._error(
                declared, f"invalid arguments from task_args_factory: {error}"
            ) from error

    def _task(self, declared: DeferrableEndpointTask, delay: float) -> framework.Task:
        task = self._plan.background_tasks[declared.name]
        changes: dict[str, Any] = {}
        if self._metadata:
            changes["metadata"] = {**(getattr(task, "metadata", None) or {}), **self._metadata}
        if self._owner is not None:
            changes["owner"] = self._owner
        if delay and not conf().endpoint_tasks_synchronous:
            changes["run_after"] = timedelta(seconds=delay)
        try:
            return task.using(**changes) if changes else task
        except framework.InvalidTask as error:  # for example, a backend without delays
            raise self._error(declared, str(error)) from error

    def _execute(
        self, declared: DeferrableEndpointTask, args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        """Execute the task in the request."""
        resource = self._endpoint.resource
        returned = declared.call(self._endpoint, resource, *args, **kwargs)
        if inspect.isawaitable(returned):
            async_to_sync(_awaited)(returned)

    def _enqueued(
        self,
        run: DeferredRun,
        results: Mapping[str, Result | None],
        enqueuer: SynchronousEnqueuer | BackgroundEnqueuer,
    ) -> Result | None:
        before = self._plan.waits_for(run.declared)
        call = (run.task, run.args, run.kwargs)
        try:
            if before is None or before not in self._runs:
                return enqueuer.enqueue(*call)
            after = results[before]
            return enqueuer.enqueue_after(*call, after) if after else None
        except (framework.InvalidTask, TypeError, ValueError) as error:
            raise self._error(run.declared, str(error)) from error

    def _error(self, declared: DeferrableEndpointTask, reason: str) -> InvalidEndpoint:
        return InvalidEndpoint(f"{full_name(type(self._endpoint), declared)}: {reason}")


def _owner_of(user: Any) -> str | None:
    """Return the owner of the runs, who may see them in the REST API."""
    try:
        return None if user is None else owner_of(user)
    except framework.InvalidTask:  # a user object without a primary key
        return None


async def _awaited(awaitable: Any) -> Any:
    task = asyncio.ensure_future(awaitable)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # The client is gone. The view, which runs in a thread, goes on, and so does its task.
        return await task
