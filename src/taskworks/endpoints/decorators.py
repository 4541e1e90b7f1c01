"""
``@task`` and ``@deferrable_task``: what an endpoint's class says of a task.

Nothing of a request is kept here: these objects belong to the class, and all its requests.
"""

import inspect
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from taskworks.exceptions import InvalidEndpoint
from taskworks.retry import seconds

_declarations = count()

Runner = Callable[[Callable[[], Any], Any], Any]


class EndpointTask:
    """A task that is executed in the request; made by ``@task``."""

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
        self.turn = next(_declarations)
        self.task_runner = self._callable("task_runner", task_runner)
        self.priority = self._whole_number("priority", priority)
        self._depends_on = self._declared(depends_on)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.kind} {self.function.__qualname__}>"

    @property
    def depends_on(self) -> str | None:
        """The name of the task that it depends on: so a subclass may replace that one."""
        declared = self._depends_on
        return declared.name if isinstance(declared, EndpointTask) else declared

    def call(self, endpoint: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute it by its runner, who is given the call and the endpoint."""
        call = Call(self, args, kwargs)
        return self.task_runner(call, endpoint) if self.task_runner else call()

    def refuse(self, reason: str) -> InvalidEndpoint:
        """The error that this task cannot be defined so."""
        return InvalidEndpoint(f"{self.function.__qualname__}: {reason}")

    def _function_of(self, method: Any) -> Callable[..., Any]:
        if not inspect.isfunction(method):
            raise InvalidEndpoint(
                f"@task is for a method of an endpoint, and {method!r} is none. Give it its "
                "options by name: @task(depends_on=..., priority=...)."
            )
        self.function = method
        if inspect.iscoroutinefunction(method):
            raise self.refuse("a @task is executed in the request, and may be no coroutine.")
        if not takes_one_argument(method):
            raise self.refuse("a @task is a method that takes self alone.")
        return method

    def _declared(self, depends_on: Any) -> "EndpointTask | str | None":
        declared = getattr(getattr(depends_on, "func", None), "declared", depends_on)
        if isinstance(declared, EndpointTask | str | None):
            return declared
        raise self.refuse(f"depends_on must be a task or its name, not {depends_on!r}.")

    def _callable(self, name: str, given: Any) -> Any:
        if given is not None and not callable(given):
            raise self.refuse(f"{name} must be callable, and {given!r} is not.")
        return given

    def _whole_number(self, name: str, given: Any) -> int:
        if type(given) is not int:
            raise self.refuse(f"{name} must be a whole number, not {given!r}.")
        return given


class DeferrableEndpointTask(EndpointTask):
    """A task that a worker executes later; made by ``@deferrable_task``."""

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
        **options: Any,
    ) -> None:
        super().__init__(method, **options)
        self.delay = delay if callable(delay) else self.seconds(delay)
        self.always_defer = self._flag(always_defer)
        self.task_args_factory = self._callable("task_args_factory", task_args_factory)
        self.queue, self.routing_key = (
            self._text("queue", queue),
            self._text("routing_key", routing_key),
        )
        self.retries = self._whole_number("retries", retries)
        if self.retries < 0:
            raise self.refuse(f"retries must be 0 or more, not {retries}.")
        self.retry_exception_filter = self._classes(retry_exception_filter)
        self.execute_unless = self._condition(execute_unless)

    def __get__(self, instance: Any, owner: type) -> Any:
        """The task of the standard that this class enqueues; itself of a class without a plan."""
        plan = vars(owner).get("_plan")
        return plan.runs.get(self.name, self) if plan else self

    def seconds(self, delay: Any) -> float:
        """A delay in seconds; raise InvalidEndpoint for what is none."""
        if delay is None:
            return 0.0
        try:
            return seconds(delay, "delay")
        except ValueError as error:
            raise self.refuse(str(error)) from None

    def _function_of(self, method: Any) -> Callable[..., Any]:
        if not isinstance(method, staticmethod):
            name = getattr(method, "__qualname__", repr(method))
            raise InvalidEndpoint(
                f"{name}: deferrable task methods must be staticmethods, for a worker has no "
                "endpoint to give them. Put @staticmethod below @deferrable_task."
            )
        return method.__func__

    def _flag(self, always_defer: Any) -> Any:
        if not isinstance(always_defer, bool) and not callable(always_defer):
            raise self.refuse(
                f"always_defer must be True, False or a callable, not {always_defer!r}."
            )
        return always_defer

    def _text(self, name: str, given: Any) -> str | None:
        if given is not None and not isinstance(given, str):
            raise self.refuse(f"{name} must be text, not {given!r}.")
        return given

    def _classes(self, given: Any) -> tuple[type[BaseException], ...]:
        several = isinstance(given, Iterable) and not isinstance(given, str | type)
        classes = tuple(given) if several else (given,)
        for item in classes:
            if not isinstance(item, type) or not issubclass(item, BaseException):
                raise self.refuse(
                    f"retry_exception_filter must be exception classes, and {item!r} is none."
                )
        return classes

    def _condition(self, execute_unless: Any) -> Any:
        self._callable("execute_unless", execute_unless)
        if execute_unless is not None and not takes_one_argument(execute_unless):
            raise self.refuse("execute_unless must be a method that takes self alone.")
        return execute_unless


class Call:
    """A task and its arguments, to be called; what a ``task_runner`` is given."""

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
    Make a method a task that is executed in the request, once the resource is there and before the
    response is computed.

    The lower ``priority`` comes first, ties in the order of declaration; what it ``depends_on``, a
    task or its name, comes before it all the same. ``task_runner`` is called with the call, a
    callable without arguments, and the endpoint; without it the task is just called.

    Raise InvalidEndpoint, here or when the class is made, for what cannot be.
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
    depends_on: Any = None,
    priority: int = 0,
) -> Any:
    """
    Make a static method a task that a worker executes: ``f(resource, *args, **kwargs)``.

    A run is enqueued after all that is done in the request, in its transaction. ``delay`` is in
    seconds, a timedelta, or a callable of the endpoint that gives one; ``always_defer`` a boolean
    or such a callable. Without both the task is executed in the request. ``task_args_factory`` is
    given the endpoint, and returns ``(args, kwargs)``; ``execute_unless`` says that this request
    needs no run. ``retries`` are further attempts, for exceptions of ``retry_exception_filter``
    if there are such. ``queue``, or else ``routing_key``, names the queue. A run that
    ``depends_on`` another deferrable task waits until that one has succeeded.

    Raise InvalidEndpoint, here or when the class is made, for what cannot be.
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
            depends_on=depends_on,
            priority=priority,
        )

    return declare if function is None else declare(function)


def takes_one_argument(function: Callable[..., Any]) -> bool:
    """Whether it can be called with an endpoint, and nothing but that."""
    try:
        parameters = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        return False
    one_by_place = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return len(parameters) == 1 and parameters[0].kind in one_by_place
