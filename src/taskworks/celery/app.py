"""
``Celery``: an app of the real Celery that stores what it sends as runs. Tasks of other packages,
which are ``@shared_task``s of Celery, are executed by the workers of Taskworks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from taskworks.celery.adopted import Adopted, adopted_task, note_retry
from taskworks.celery.options import of_call
from taskworks.celery.result import AsyncResult as Result
from taskworks.celery.values import encoded
from taskworks.definition import Task
from taskworks.discovery import add_finder, remove_finder
from taskworks.exceptions import InvalidTask

try:
    import celery
except ModuleNotFoundError as error:
    raise ImportError(
        "taskworks.celery.Celery needs Celery, which is not installed: pip install "
        "'django-taskworks[celery]'. If all tasks are your own, use taskworks.celery.App, which "
        "does not need it."
    ) from error

# What Celery says of a message and its sender, which are not stored.
OF_A_MESSAGE = frozenset(
    [
        "task_type",
        "route_name",
        "router",
        "result_cls",
        "root_id",
        "parent_id",
        "reply_to",
        "replaced_task_nesting",
        "immediate",
        "mandatory",
        "producer",
        "publisher",
        "retries",
    ]
)

OF_DJANGO = "celery.contrib.django.task:DjangoTask"  # with delay_on_commit
NOT_GIVEN: tuple[Any, ...] = (None, [], {}, ())

_current: "Celery | None" = None


class Celery(celery.Celery):  # type: ignore[misc]
    """
    A Celery app without a broker: ``delay``, ``apply_async`` and ``send_task`` store a run, in the
    caller's transaction, and ``manage.py taskworks worker`` executes it.

    Raise ImproperlyConfigured for a second one, because a run is executed by the tasks of one app.
    """

    task_cls: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        global _current  # noqa: PLW0603 - as Celery has a current app
        if _current is not None:
            raise ImproperlyConfigured(
                f"A second app of taskworks.celery.Celery is made, after {_current.main!r}. Runs "
                "are executed by the tasks of one app: make it once, and import it where it is "
                "needed."
            )
        super().__init__(*args, **kwargs)
        if self.task_cls == celery.Celery.task_cls:  # subclasses did not get it before Celery 5.7
            self.task_cls = OF_DJANGO
        self._adopted: dict[str, Adopted] = {}
        _current = self
        add_finder(self._found)

    def close(self) -> None:
        """Forget the app, so that another one can be made."""
        global _current  # noqa: PLW0603 - as above
        if _current is self:
            _current = None
        remove_finder(self._found)
        super().close()

    @property
    def AsyncResult(self) -> type[Result[Any]]:  # noqa: N802 - as Celery has it
        """The class of results, which finds runs by their ids."""
        return Result

    def send_task(  # noqa: PLR0917 - as Celery has it
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        countdown: float | None = None,
        eta: Any = None,
        task_id: str | None = None,
        **options: Any,
    ) -> Result[Any]:
        """
        Store a run of the task with this name; see ``CeleryTask.apply_async`` for its options.

        Raise InvalidTask if no task of the app has this name, NotCarried for what is not carried.
        Then nothing is written.
        """
        if options.get("retries") and note_retry(task_id, args, kwargs, countdown, eta, options):
            return Result(task_id, task_name=name)
        definition = self._found(name)
        if definition is None:
            raise InvalidTask(
                f"The Celery app {self.main!r} has no task {name!r}. Is its module imported? Apps "
                "in INSTALLED_APPS have theirs in tasks.py; name others in `imports`."
            )
        given = {**options, "countdown": countdown, "eta": eta, "task_id": task_id}
        known = {n: v for n, v in given.items() if n not in OF_A_MESSAGE and v not in NOT_GIVEN}
        routed = {**self._route(name, args, kwargs, known), **known}
        changes = of_call(name, routed, definition.expires)
        task = definition.using(**changes) if changes else definition
        run = task.enqueue(*encoded([*(args or ())]), **encoded(dict(kwargs or {})))
        return Result(run.id, task_name=name, _run=run)

    def _found(self, path: str) -> Task[..., Any] | None:
        return adopted_task(self, path, self._adopted)

    def _route(self, name: str, args: Any, kwargs: Any, options: dict[str, Any]) -> dict[str, Any]:
        """Return the queue that ``task_routes`` say; kombu's queues have names."""
        if options.get("queue") is not None:
            options["queue"] = getattr(options["queue"], "name", options["queue"])
            return {}
        route = self.amqp.router.lookup_route(name, args, kwargs, options) or {}
        queue = route.get("queue")
        return {**route, "queue": getattr(queue, "name", queue)}
