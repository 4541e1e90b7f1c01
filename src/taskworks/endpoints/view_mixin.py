"""``EndpointTasks``: a mixin that adds tasks to any view of Django REST framework."""

from functools import partial
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.utils.asyncio import async_unsafe
from django.utils.functional import LazyObject
from rest_framework.exceptions import NotFound
from rest_framework.response import Response
from rest_framework.views import APIView

from taskworks.correlation import correlation_id_of
from taskworks.endpoints import checks
from taskworks.endpoints.async_views import to_the_end, validate_coroutine_functions
from taskworks.endpoints.cached_attribute import CachedAttribute, cache_attribute
from taskworks.endpoints.decorators import is_coroutine_function
from taskworks.endpoints.deferred_runs import DeferredRuns
from taskworks.endpoints.resource_reference import reference_to
from taskworks.endpoints.run_url import status_url
from taskworks.endpoints.snapshots import Snapshots
from taskworks.endpoints.task_plan import TaskPlan, plan_of
from taskworks.exceptions import InvalidEndpoint
from taskworks.result import TaskResult

# By which generic views save; the last two are adrf's.
PERFORM_METHODS = ("perform_create", "perform_update", "perform_acreate", "perform_aupdate")


class Resource(CachedAttribute):
    """The object of a request, whose changes are tracked once it is set."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        try:
            return super().__get__(instance, owner)
        except ObjectDoesNotExist as error:
            model = type(error).__qualname__.rpartition(".")[0]
            raise NotFound(f"Not found: {model or 'the object'}.") from error

    def __set__(self, instance: Any, value: Any) -> None:
        value = _unwrapped(value)
        super().__set__(instance, value)
        if isinstance(value, models.Model):
            instance._snapshots.take(value)


def _unwrapped(value: Any) -> Any:
    """Return the object behind a lazy object such as ``request.user``, which is not a model."""
    if isinstance(value, LazyObject):
        value.__class__  # noqa: B018 - this evaluates it
        return value._wrapped
    return value


class EndpointTasks:
    """
    A mixin for views, listed before the other base classes, for ``@task`` and ``@deferrable_task``.

    ``run_tasks(resource)`` runs the tasks, or in an async view ``await arun_tasks(resource)``. It
    is called automatically after a generic view has created or updated an object. ``deferred`` has
    the results of enqueued runs. All state is in the view's instance, so it belongs to one request.
    """

    request: Any
    resource: Any = Resource(lambda view: None)
    deferred: list[TaskResult[..., Any]] = CachedAttribute(lambda view: [])  # type: ignore[assignment]
    _snapshots: Snapshots = CachedAttribute(lambda view: Snapshots())  # type: ignore[assignment]
    # The objects for which run_tasks() was called, by their id().
    _handled: dict[int, Any] = CachedAttribute(lambda view: {})  # type: ignore[assignment]
    _hooks: ClassVar[tuple[str, ...]] = ("resource", "finalize", "get_correlation_id")
    _plan: TaskPlan

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        path = f"{cls.__module__}.{cls.__qualname__}"
        try:
            _validate_bases(cls)
            validate_coroutine_functions(cls, cls._hooks)
            cache_attribute(cls, "resource", Resource)
            cls._plan = plan_of(cls)
        except InvalidEndpoint as error:
            checks.refused[path] = str(error)
            raise
        checks.refused.pop(path, None)
        if cls._plan.deferrable:
            checks.endpoints.add(cls)

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Prepare the request as the view does, and run tasks after its perform methods."""
        super().initial(request, *args, **kwargs)  # type: ignore[misc] # APIView's
        if self._plan.has_tasks:
            for name in PERFORM_METHODS:
                if perform := getattr(self, name, None):
                    run = self._aperform if is_coroutine_function(perform) else self._perform
                    # On the instance, because a class may override it without calling super().
                    setattr(self, name, partial(run, perform))

    @async_unsafe("run_tasks() would block the event loop: use `await self.arun_tasks()` instead.")
    def run_tasks(self, resource: Any = None) -> None:
        """
        Run the tasks for this resource, which becomes ``self.resource``: execute those of the
        request, save the resource's changes, call ``finalize()``, and enqueue the deferrable ones.

        Raise InvalidEndpoint for a resource that is not saved, or that workers cannot fetch, and
        any exception of a task; then nothing is enqueued.
        """
        if resource is not None:
            self.resource = resource
        resource = self.resource  # fetched before any task is executed
        self._handled[id(resource)] = resource
        for task in self._plan.synchronous:
            task.call(self, self)
        self._save_changes()
        self.finalize()
        runs = DeferredRuns(self._plan, self, self.get_correlation_id())
        runs.decide()
        self.deferred += runs.enqueue()

    async def arun_tasks(self, resource: Any = None) -> None:
        """
        Do what ``run_tasks`` does, in a thread, for an async view. Once begun it is done to its
        end, even if the client disconnects and Django cancels the view.
        """
        await to_the_end(sync_to_async(self.run_tasks)(resource))

    def finalize(self) -> None:
        """A hook, called after the resource is saved and before runs are enqueued."""

    def get_correlation_id(self) -> str | None:
        """
        Return the ``metadata["correlation_id"]`` of the request's runs, or None for none.

        It is ``request.correlation_id``, which a middleware may set, or else the header
        X-Correlation-ID or X-Request-ID.
        """
        return correlation_id_of(self.request)

    def accepted(self) -> Response:
        """
        Return a 202 response with the runs of ``deferred`` and their addresses, if any; without
        those that stood in the place of new ones, which may be of other users.
        """
        runs = [
            {"id": result.id, "task": result.task.name, "url": status_url(result, self.request)}
            for result in self.deferred
            if result.is_new is not False
        ]
        first = next((run["url"] for run in runs if run["url"]), None)
        return Response(
            {"runs": runs}, status=202, headers={"Location": str(first)} if first else None
        )

    def _perform(self, perform: Any, serializer: Any) -> Any:
        returned = perform(serializer)
        self._run_tasks_of_saved(serializer)
        return returned

    async def _aperform(self, perform: Any, serializer: Any) -> Any:
        async def perform_and_run() -> Any:
            returned = await perform(serializer)
            await sync_to_async(self._run_tasks_of_saved)(serializer)
            return returned

        # Otherwise a client that disconnects could leave an object without its runs.
        return await to_the_end(perform_and_run())

    def _run_tasks_of_saved(self, serializer: Any) -> None:
        saved = serializer.instance
        for resource in saved if isinstance(saved, list) else [saved]:
            # A view that overrides the method may have run the tasks already.
            if resource is not None and id(resource) not in self._handled:
                self.run_tasks(resource)

    def _save_changes(self) -> None:
        resource = self.resource
        if isinstance(resource, models.Model) and resource._state.adding:
            try:
                reference_to(resource)
            except InvalidEndpoint as error:
                raise InvalidEndpoint(f"{self._first_task_name()}: {error}") from None
        try:
            self._snapshots.save()
        except InvalidEndpoint as error:
            raise InvalidEndpoint(f"{type(self).__qualname__}: {error}") from None
        self._snapshots.keep(resource)

    def _first_task_name(self) -> str:
        """Return the name, for an error, of a task that would not get its resource."""
        endpoint = type(self).__qualname__
        tasks = [*self._plan.deferrable, *self._plan.synchronous]
        return f"{endpoint}.{tasks[0].name}" if tasks else endpoint


def _validate_bases(cls: type) -> None:
    bases = cls.__mro__
    if APIView in bases and bases.index(APIView) < bases.index(EndpointTasks):
        raise InvalidEndpoint(
            f"{cls.__qualname__}: list EndpointTasks before the view among the base classes, "
            "so that the view uses it."
        )
