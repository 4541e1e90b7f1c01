"""``EndpointTasks``: tasks for any view of Django REST framework."""

from functools import partial
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.utils.functional import LazyObject
from rest_framework.exceptions import NotFound
from rest_framework.response import Response
from rest_framework.views import APIView

from taskworks.correlation import correlation_id_of
from taskworks.endpoints import checks
from taskworks.endpoints.attribute import Once, compute_once
from taskworks.endpoints.handover import Handover
from taskworks.endpoints.links import status_url
from taskworks.endpoints.plan import Plan, plan_of
from taskworks.endpoints.resource import Snapshots, reference_to
from taskworks.exceptions import InvalidEndpoint
from taskworks.result import TaskResult

PERFORM = ("perform_create", "perform_update")  # what generic views save by


class Resource(Once):
    """What a request is about; what changes of it, once it is known, is noticed."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        try:
            return super().__get__(instance, owner)
        except ObjectDoesNotExist as error:
            model = type(error).__qualname__.rpartition(".")[0]
            raise NotFound(f"Not found: {model or 'the object'}.") from error

    def __set__(self, instance: Any, value: Any) -> None:
        value = _itself(value)
        super().__set__(instance, value)
        if isinstance(value, models.Model):
            instance._snapshots.take(value)


def _itself(value: Any) -> Any:
    """What is behind Django's lazy object, as the user of a session is: a proxy is of no model."""
    if isinstance(value, LazyObject):
        value.__class__  # noqa: B018 - which fetches it
        return value._wrapped
    return value


class EndpointTasks:
    """
    Mixed into a view, before its other bases, gives it ``@task`` and ``@deferrable_task``.

    ``run_tasks(resource)`` does what they say. Generic views call it by themselves, when they have
    created or updated an object. ``deferred`` has the results of what was enqueued. All state is
    of the view's instance, and so of one request.
    """

    request: Any
    resource: Any = Resource(lambda view: None)
    deferred: list[TaskResult[..., Any]] = Once(lambda view: [])  # type: ignore[assignment]
    _snapshots: Snapshots = Once(lambda view: Snapshots())  # type: ignore[assignment]
    # Those for which run_tasks() was called, by their id().
    _seen_to: dict[int, Any] = Once(lambda view: {})  # type: ignore[assignment]
    _plan: Plan

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        compute_once(cls, "resource", Resource)
        path = f"{cls.__module__}.{cls.__qualname__}"
        try:
            _validate_bases(cls)
            cls._plan = plan_of(cls)
        except InvalidEndpoint as error:
            checks.refused[path] = str(error)
            raise
        checks.refused.pop(path, None)
        if cls._plan.deferrable:
            checks.endpoints.add(cls)

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """As the view does; from then on what it performs is followed by the tasks."""
        super().initial(request, *args, **kwargs)  # type: ignore[misc] # of APIView
        if self._plan.has_tasks:
            for name in PERFORM:
                if perform := getattr(self, name, None):
                    # Of this instance, since a class may override it without calling ours.
                    setattr(self, name, partial(self._perform, perform))

    def run_tasks(self, resource: Any = None) -> None:
        """
        Run the tasks for this resource, which becomes ``self.resource``: those of the request in
        their order; then save what they have changed of it, ``finalize()``, and enqueue the others.

        Raise InvalidEndpoint for a resource that is not saved, or that no worker could fetch, and
        what a task raises; nothing is enqueued then.
        """
        if resource is not None:
            self.resource = resource
        resource = self.resource  # fetched before any task
        self._seen_to[id(resource)] = resource
        for task in self._plan.synchronous:
            task.call(self, self)
        self._save_changes()
        self.finalize()
        handover = Handover(self._plan, self, self.get_correlation_id())
        handover.ask()
        self.deferred += handover.enqueue()

    def finalize(self) -> None:
        """Called when the resource is saved, before anything is enqueued; does nothing."""

    def get_correlation_id(self) -> str | None:
        """
        What the runs of this request have as ``metadata["correlation_id"]``: of a middleware, or
        of a header, X-Correlation-ID or X-Request-ID; None for nothing.
        """
        return correlation_id_of(self.request)

    def accepted(self) -> Response:
        """A 202 that names the runs of ``deferred``, and where they are shown, if they are."""
        runs = [
            {"id": result.id, "task": result.task.name, "url": status_url(result, self.request)}
            for result in self.deferred
        ]
        first = next((run["url"] for run in runs if run["url"]), None)
        return Response(
            {"runs": runs}, status=202, headers={"Location": str(first)} if first else None
        )

    def _perform(self, perform: Any, serializer: Any) -> Any:
        answer = perform(serializer)
        saved = serializer.instance
        for resource in saved if isinstance(saved, list) else [saved]:
            if resource is not None and id(resource) not in self._seen_to:  # by an override
                self.run_tasks(resource)
        return answer

    def _save_changes(self) -> None:
        resource = self.resource
        if isinstance(resource, models.Model) and resource._state.adding:
            try:
                reference_to(resource)
            except InvalidEndpoint as error:
                raise InvalidEndpoint(f"{self._first_task()}: {error}") from None
        try:
            self._snapshots.save()
        except InvalidEndpoint as error:
            raise InvalidEndpoint(f"{type(self).__qualname__}: {error}") from None
        self._snapshots.keep(resource)

    def _first_task(self) -> str:
        """Which task would not have its resource."""
        endpoint = type(self).__qualname__
        tasks = [*self._plan.deferrable, *self._plan.synchronous]
        return f"{endpoint}.{tasks[0].name}" if tasks else endpoint


def _validate_bases(cls: type) -> None:
    bases = cls.__mro__
    if APIView in bases and bases.index(APIView) < bases.index(EndpointTasks):
        raise InvalidEndpoint(
            f"{cls.__qualname__}: EndpointTasks must come before the view among its bases, or the "
            "view would not know of it."
        )
