"""What one request hands over to workers: each deferrable task asked, then all enqueued at once."""

import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync

from taskworks import framework, jsonvalue
from taskworks.conf import conf
from taskworks.correlation import METADATA_KEY
from taskworks.endpoints.delivery import InTheRequest, Result, ToTheQueue
from taskworks.endpoints.endpoint_tasks import DeferrableEndpointTask
from taskworks.endpoints.plan import Plan, named
from taskworks.endpoints.resource import Reference, reference_to
from taskworks.exceptions import InvalidEndpoint
from taskworks.options.owner import owner_of


class Deferred(NamedTuple):
    """A run that is to be enqueued."""

    declared: DeferrableEndpointTask
    task: framework.Task
    args: list[Any]  # the reference to the resource the first of them
    kwargs: dict[str, Any]


class Handover:
    """
    Of one endpoint and its resource, in one request. Whatever is refused raises InvalidEndpoint,
    and nothing is enqueued then.
    """

    def __init__(self, plan: Plan, endpoint: Any, correlation_id: str | None) -> None:
        self._plan, self._endpoint = plan, endpoint
        self._metadata = {METADATA_KEY: correlation_id} if correlation_id else {}
        self._owner = _owner_of(getattr(endpoint.request, "user", None))
        self._deferred: dict[str, Deferred] = {}
        self._left_out: set[str] = set()

    def ask(self) -> None:
        """Ask each deferrable task, at its turn, whether and how; execute it if that is now."""
        for declared in self._plan.deferrable:
            if self._is_left_out(declared):
                self._left_out.add(declared.name)
            else:
                self._ask(declared)

    def enqueue(self) -> list[Result]:
        """Enqueue what is deferred; the results of those that exist then."""
        if not self._deferred:
            return []
        using = next(iter(self._deferred.values())).args[0]["using"]
        delivery = InTheRequest(using) if conf().endpoint_tasks_synchronous else ToTheQueue(using)
        results: dict[str, Result | None] = {}
        with delivery.all_or_none() if len(self._deferred) > 1 else nullcontext():
            for name, deferred in self._deferred.items():
                results[name] = self._enqueued(deferred, results, delivery)
        return [result for result in results.values() if result]

    def _is_left_out(self, declared: DeferrableEndpointTask) -> bool:
        """What it would follow never succeeds if that is left out."""
        if self._plan.follows(declared) in self._left_out:
            return True
        return bool(declared.execute_unless and declared.execute_unless(self._endpoint))

    def _ask(self, declared: DeferrableEndpointTask) -> None:
        delay = declared.delay
        if callable(delay):
            delay = declared.seconds(delay(self._endpoint))
        always = declared.always_defer
        if callable(always):
            always = always(self._endpoint)
        waits = self._plan.follows(declared) in self._deferred
        reference = self._reference(declared)
        args, kwargs = self._arguments(declared)
        if delay or always or waits:
            task = self._task(declared, delay)
            self._deferred[declared.name] = Deferred(declared, task, [reference, *args], kwargs)
        else:
            self._execute(declared, args, kwargs)

    def _reference(self, declared: DeferrableEndpointTask) -> Reference:
        try:
            return reference_to(self._endpoint.resource)
        except InvalidEndpoint as error:
            raise self._refusal(declared, str(error)) from None

    def _arguments(self, declared: DeferrableEndpointTask) -> tuple[list[Any], dict[str, Any]]:
        if declared.task_args_factory is None:
            return [], {}
        match given := declared.task_args_factory(self._endpoint):
            case (list() | tuple() as args, Mapping() as kwargs):
                pass
            case _:
                raise self._refusal(
                    declared, f"task_args_factory must return (args, kwargs), not {given!r}."
                )
        try:
            return (
                jsonvalue.round_trip(list(args), "args"),
                jsonvalue.round_trip(dict(kwargs), "kwargs"),
            )
        except (TypeError, ValueError) as error:
            raise self._refusal(declared, f"what task_args_factory returns: {error}") from error

    def _task(self, declared: DeferrableEndpointTask, delay: float) -> framework.Task:
        task = self._plan.runs[declared.name]
        changes: dict[str, Any] = {}
        if self._metadata:
            changes["metadata"] = {**(getattr(task, "metadata", None) or {}), **self._metadata}
        if self._owner is not None:
            changes["owner"] = self._owner
        if delay and not conf().endpoint_tasks_synchronous:
            changes["run_after"] = timedelta(seconds=delay)
        try:
            return task.using(**changes) if changes else task
        except framework.InvalidTask as error:  # such as a backend that knows no delay
            raise self._refusal(declared, str(error)) from error

    def _execute(
        self, declared: DeferrableEndpointTask, args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        """Here and now."""
        resource = self._endpoint.resource
        answer = declared.call(self._endpoint, resource, *args, **kwargs)
        if inspect.isawaitable(answer):
            async_to_sync(_awaited)(answer)

    def _enqueued(
        self,
        deferred: Deferred,
        results: Mapping[str, Result | None],
        delivery: InTheRequest | ToTheQueue,
    ) -> Result | None:
        before = self._plan.follows(deferred.declared)
        run = (deferred.task, deferred.args, deferred.kwargs)
        try:
            if before is None or before not in self._deferred:
                return delivery.enqueue(*run)
            after = results[before]
            return delivery.enqueue_after(*run, after) if after else None
        except (framework.InvalidTask, TypeError, ValueError) as error:
            raise self._refusal(deferred.declared, str(error)) from error

    def _refusal(self, declared: DeferrableEndpointTask, reason: str) -> InvalidEndpoint:
        return InvalidEndpoint(f"{named(type(self._endpoint), declared)}: {reason}")


def _owner_of(user: Any) -> str | None:
    """Whose the runs are, so that they may look what becomes of them."""
    try:
        return None if user is None else owner_of(user)
    except framework.InvalidTask:  # it is a user of another kind, without a primary key
        return None


async def _awaited(answer: Any) -> Any:
    return await answer
