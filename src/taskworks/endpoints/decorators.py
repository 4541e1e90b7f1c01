"""
``@task`` and ``@deferrable_task``, which declare the tasks of an endpoint.

The declarations belong to the class and are shared by all its requests, so they hold no state.
"""

import inspect
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from taskworks.durations import seconds
from taskworks.exceptions import InvalidEndpoint
from taskworks.options.unique import Unique

_sequence = count()

Runner = Callable[[Callable[[], Any], Any], Any]


class EndpointTask:
    """A task that is executed in the request; created by ``@task``."""

    kind = "@task"

    def __init__(
        self,
        method: Any,
        *,
        task_runner: Runner | None = None,
        depends_on: Any = None,
        priority: int = 0,
    ) -> None:
        self.function = self._function_of(method)
        self.name = self.function.__name__
        self.sequence = next(_sequence)
        self.task_runner = self._runner(task_runner)
        self.priority = self._integer("priority", priority)
        self._depends_on = self._task_or_name(depends_on)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.kind} {self.function.__qualname__}>"

    @property
    def depends_on(self) -> str | None:
        """The name of the task that it depends on."""
        # A name, because a subclass may replace that task.
        declared = self._depends_on
        return declared.name if isinstance(declared, EndpointTask) else declared

    def call(self, endpoint: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Execute the task, by its ``task_runner`` if it has one."""
        call = Call(self, args, kwargs)
        return self.task_runner(call, endpoint) if self.task_runner else call()

    def error(self, reason: str) -> InvalidEndpoint:
        """Return an InvalidEndpoint error that names the task."""
        return InvalidEndpoint(f"{self.function.__qualname__}: {reason}")

    def _function_of(self, method: Any) -> Callable[..., Any]:
        if not inspect.isfunction(method):
            raise InvalidEndpoint(
                f"@task decorates a method of an endpoint, not {method!r}. Pass options by name: "
                "@task(depends_on=..., priority=...)."
            )
        self.function = method
        if inspect.iscoroutinefunction(method):
            raise self.error(
                "a @task runs in a thread of the request, even if the view is async, so it cannot "
                "be a coroutine function."
            )
        if not takes_one_argument(method):
            raise self.error("a @task must be a method whose only argument is self.")
        return method

    def _task_or_name(self, depends_on: Any) -> "EndpointTask | str | None":
        declared = getattr(getattr(depends_on, "func", None), "declared", depends_on)
        if isinstance(declared, EndpointTask | str | None):
            return declared
        raise self.error(f"depends_on must be a task or its name, not {depends_on!r}.")

    def _callable(self, name: str, given: Any) -> Any:
        if given is not None and not callable(given):
            raise self.error(f"{name} must be callable, not {given!r}.")
        if is_coroutine_function(given):
            raise self.error(f"{name} is a coroutine function, which nobody awaits: use def.")
        return given

    def _runner(self, given: Any) -> Any:
        """Return a ``task_runner``, which may be a coroutine function if its task is one."""
        is_awaited = inspect.iscoroutinefunction(self.function) and callable(given)
        return given if is_awaited else self._callable("task_runner", given)

    def _integer(self, name: str, given: Any) -> int:
        if type(given) is not int:
            raise self.error(f"{name} must be an integer, not {given!r}.")
        return given


class DeferrableEndpointTask(EndpointTask):
    """A task that a worker executes later; created by ``@deferrable_task``."""

    kind = "@deferrable_task"

    def __init__(
        self,
        method: Any,
        *,
        delay: Any = None,
        always_defer: Any = True,
        task_args_factory: Callable[[Any], Any] | None = None,
        queue: str | None = None,
        routing_key: str | None = None,
        retries: int = 0,
        retry_exception_filter: Any = (),
        execute_unless: Callable[[Any], Any] | None = None,
        unique: Unique | None = None,
        **options: Any,
    ) -> None:
        super().__init__(method, **options)
        self.delay = self._callable("delay", delay) if callable(delay) else self.seconds(delay)
        self.always_defer = self._flag(always_defer)
        self.task_args_factory = self._callable("task_args_factory", task_args_factory)
        self.queue, self.routing_key = (
            self._string("queue", queue),
            self._string("routing_key", routing_key),
        )
        self.retries = self._integer("retries", retries)
        if self.retries < 0:
            raise self.error(f"retries must be 0 or more, not {retries}.")
        self.retry_exception_filter = self._classes(retry_exception_filter)
        self.execute_unless = self._condition(execute_unless)
        self.unique = unique

    def __get__(self, instance: Any, owner: type) -> Any:
        """Return the ``Task`` that this class enqueues."""
        # A class without a plan is being created, or is not an endpoint.
        plan = vars(owner).get("_plan")
        return plan.background_tasks.get(self.name, self) if plan else self

    def seconds(self, delay: Any) -> float:
        """Return a delay in seconds; raise InvalidEndpoint if it is invalid."""
        if delay is None:
            return 0.0
        try:
            return seconds(delay, "delay")
        except ValueError as error:
            raise self.error(str(error)) from None

    def _function_of(self, method: Any) -> Callable[..., Any]:
        if not isinstance(method, staticmethod):
            name = getattr(method, "__qualname__", repr(method))
            raise InvalidEndpoint(
                f"{name}: a @deferrable_task must be a static method, because a worker has no "
                "instance of the endpoint. Put @staticmethod below @deferrable_task."
            )
        return method.__func__

    def _flag(self, always_defer: Any) -> Any:
        if isinstance(always_defer, bool):
            return always_defer
        if not callable(always_defer):
            raise self.error(
                f"always_defer must be True, False or a callable, not {always_defer!r}."
            )
        return self._callable("always_defer", always_defer)

    def _string(self, name: str, given: Any) -> str | None:
        if given is not None and not isinstance(given, str):
            raise self.error(f"{name} must be a string, not {given!r}.")
        return given

    def _classes(self, given: Any) -> tuple[type[BaseException], ...]:
        several = isinstance(given, Iterable) and not isinstance(given, str | type)
        classes = tuple(given) if several else (given,)
        for item in classes:
            if not isinstance(item, type) or not issubclass(item, BaseException):
                raise self.error(f"retry_exception_filter must be exception classes, not {item!r}.")
        return classes

    def _condition(self, execute_unless: Any) -> Any:
        self._callable("execute_unless", execute_unless)
        if execute_unless is not None and not takes_one_argument(execute_unless):
            raise self.error("execute_unless must be a method whose only argument is self.")
        return execute_unless


class Call:
    """What a ``task_runner`` gets: called without arguments, it executes the task."""

    def __init__(self, task: EndpointTask, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.name, self._function = task.name, task.function
        self._args, self._kwargs = args, kwargs

    def __call__(self) -> Any:
        return self._function(*self._args, **self._kwargs)


def task(
    function: Callable[[Any], Any] | None = None,
    /,
    *,
    task_runner: Runner | None = None,
    depends_on: Any = None,
    priority: int = 0,
) -> Any:
    """
    Declare a method as a task that is executed in the request, after the resource is fetched and
    before the response is computed.

    Tasks are executed in the order of ``priority``, lower first, then in the order of declaration;
    the task that this one ``depends_on``, a task or its name, is executed before it in any case.
    ``task_runner(call, endpoint)`` executes the task by ``call()``.

    Raise InvalidEndpoint, here or when the class is created, if an option is invalid.
    """

    def declare(method: Any) -> EndpointTask:
        return EndpointTask(
            method, task_runner=task_runner, depends_on=depends_on, priority=priority
        )

    return declare if function is None else declare(function)


def deferrable_task(
    function: Any = None,
    /,
    *,
    task_runner: Runner | None = None,
    delay: Any = None,
    always_defer: Any = True,
    task_args_factory: Callable[[Any], Any] | None = None,
    queue: str | None = None,
    routing_key: str | None = None,
    retries: int = 0,
    retry_exception_filter: Any = (),
    execute_unless: Callable[[Any], Any] | None = None,
    unique: Unique | None = None,
    depends_on: Any = None,
    priority: int = 0,
) -> Any:
    """
    Declare a static method as a task that a worker executes: ``f(resource, *args, **kwargs)``.

    A run is enqueued after the tasks of the request, in its transaction. ``delay`` is in seconds, a
    timedelta, or a callable that takes the endpoint; ``always_defer`` is a boolean or such a
    callable. If both are false, the task is executed in the request. ``task_args_factory`` takes
    the endpoint and returns ``(args, kwargs)``. If ``execute_unless``, a method, returns a true
    value, the task is skipped. ``retries`` is the number of further attempts, after exceptions of
    ``retry_exception_filter``, by default any Exception. ``queue``, or else ``routing_key``, is the
    queue's name. ``unique`` says which runs of the task are equal, by the names of the method's
    parameters, of which the first is the resource. If the task ``depends_on`` another deferrable
    task, its run waits until that one has succeeded.

    Raise InvalidEndpoint, here or when the class is created, if an option is invalid.
    """

    def declare(method: Any) -> DeferrableEndpointTask:
        return DeferrableEndpointTask(
            method,
            task_runner=task_runner,
            delay=delay,
            always_defer=always_defer,
            task_args_factory=task_args_factory,
            queue=queue,
            routing_key=routing_key,
            retries=retries,
            retry_exception_filter=retry_exception_filter,
            execute_unless=execute_unless,
            unique=unique,
            depends_on=depends_on,
            priority=priority,
        )

    return declare if function is None else declare(function)


def takes_one_argument(function: Callable[..., Any]) -> bool:
    """Return whether the function has exactly one argument, which can be positional."""
    try:
        parameters = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        return False
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return len(parameters) == 1 and parameters[0].kind in positional


def is_coroutine_function(given: Any) -> bool:
    """Return whether calling this returns a coroutine."""
    return inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(
        getattr(type(given), "__call__", None)  # noqa: B004 - its own, not that it has one
    )
