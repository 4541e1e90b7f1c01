"""The task that acts on all runs of a filter, in the background. Cancel its run to stop it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from taskworks.actions.audit import Actor, actor_of, record
from taskworks.actions.bulk import Target, act_on_all, preview, record_done
from taskworks.actions.verbs import Action, Done, Verb
from taskworks.backends.database import DatabaseBackend
from taskworks.backends.shards import backends_here, databases_of_backends
from taskworks.context import TaskContext
from taskworks.database.shards import using
from taskworks.definition import Task
from taskworks.exceptions import InvalidTaskBackend, TaskCancelled
from taskworks.filtering import RunFilter, parse
from taskworks.filtering.parsing import as_texts
from taskworks.framework import DEFAULT_TASK_QUEUE_NAME
from taskworks.options.tasks_setting import backend_of
from taskworks.result import TaskResult
from taskworks.store import alias_for, store, store_alias
from taskworks.task_copies import unvalidated_copy, unvalidated_task

MAX_ATTEMPTS = 5  # of which each goes on where the last one ended
LONGEST = 30 * 24 * 3600.0  # seconds, whatever TASK_DEFAULTS say
COUNTS = "counts"  # in the metadata of the run


def start(
    action: Action,
    meant: RunFilter,
    *,
    by: Any = "",
    backend: str | None = None,
    queue: str | None = None,
) -> TaskResult[..., Any]:
    """
    Enqueue a run that acts on all runs of its database that the filter means now, and return its
    result. It is recorded who has started it; ``by`` is a user or a name. Cancel it to stop it.

    Raise ValueError for a filter that means all runs, or none to which the action applies,
    InvalidTaskBackend for a ``backend`` that does not store runs, and what ``enqueue`` raises, such
    as for a ``queue`` that the backend does not have.
    """
    where = _place(backend, queue)
    with using(alias_for(where["backend"])):
        seen = preview(action, meant)
    task = unvalidated_copy(act_in_background, **where)
    target, actor = seen.target, actor_of(by)
    result: Any = task.enqueue(
        verb=action.verb.value,
        queue=action.queue,
        priority=action.priority,
        texts=as_texts(target.meant),
        before=target.before.isoformat(),
        by=actor.name,
        count=None if seen.is_capped else seen.count,
    )
    about = f"{seen.count_in_words}: {target.meant.masked}"
    facts = {"filter": as_texts(target.meant.masked), "count": seen.count}
    record(actor, f"{action}", run=result.id, about=about, **facts)
    return cast("TaskResult[..., Any]", result)


def start_there(action: Action, meant: RunFilter, *, by: Any = "") -> TaskResult[..., Any]:
    """
    Do the same in the only database that has such runs; raise ValueError if there are several.
    """
    where = databases_of_backends(meant.backends)
    if len(where) > 1:
        raise ValueError(
            f"Runs are in {len(where)} databases ({', '.join(where)}), and one run acts on those "
            "of its own: name the backend, one that is in TASKS."
        )
    with using(where[0]):
        return start(action, meant, by=by)


def _place(alias: str | None, queue: str | None) -> dict[str, Any]:
    """Return the backend, by default the first that stores runs, and a queue that it has."""
    backend = _database_backend(alias)
    names = sorted(backend.queues)
    is_there = not names or DEFAULT_TASK_QUEUE_NAME in names
    own = DEFAULT_TASK_QUEUE_NAME if is_there else names[0]
    return {"backend": backend.alias, "queue_name": own if queue is None else queue}


def _database_backend(alias: str | None) -> DatabaseBackend:
    if alias is None:
        for one in backends_here():
            return one
        raise InvalidTaskBackend(
            f"No backend in TASKS stores runs in the database {store_alias()!r}, so none can act "
            "on those."
        )
    backend = backend_of(alias)
    if not isinstance(backend, DatabaseBackend):
        raise InvalidTaskBackend(
            f"The backend {alias!r}, a {type(backend).__name__}, does not store runs."
        )
    return backend


def _act(
    context: TaskContext,
    *,
    verb: str,
    texts: Mapping[str, Sequence[str]],
    before: str,
    queue: str | None = None,
    priority: int | None = None,
    by: str = "",
    count: int | None = None,
) -> dict[str, Any]:
    """Act on all runs of the filter; return how many were changed, and how many were not."""
    action = Action(Verb(verb), queue, priority)
    target = Target(action, parse(texts), datetime.fromisoformat(before))
    done = _done_before(context)
    context.set_target(count)
    try:
        with using(alias_for(context.task_result.backend)):
            for some in act_on_all(target):
                done = done.plus(some)
                _tell(context, done)
                _stop_if_cancelled(context)
    except TaskCancelled:
        context.add_message(f"Stopped. {done.in_words(action.verb)}", "warning")
        raise
    finally:
        record_done(Actor(by), target, done, run=context.task_result.id)
    context.add_message(done.in_words(action.verb))
    return {**done._asdict()}


def _stop_if_cancelled(context: TaskContext) -> None:
    """Raise TaskCancelled if somebody has cancelled this run; its worker may not know it yet."""
    runs = store().runs.filter(id=context.task_result.id)
    if runs.filter(cancel_requested_at__isnull=False).exists():
        raise TaskCancelled("It was stopped.")


def _done_before(context: TaskContext) -> Done:
    """Return what earlier attempts of this run have done, as far as they could write it."""
    match context.metadata.get(COUNTS):
        case [int(done), int(asked), int(refused), str(reason)]:
            return Done(done, asked, refused, reason)
    return Done()


def _tell(context: TaskContext, done: Done) -> None:
    context.set_progress(done.done + done.not_applicable)
    context.metadata[COUNTS] = [*done]
    context.save_metadata()


# Not made by the decorator: a project may have no queue or backend of the default's name.
_act.__name__ = _act.__qualname__ = "act_in_background"
act_in_background = unvalidated_task(
    Task, _act, takes_context=True, max_attempts=MAX_ATTEMPTS, timeout=LONGEST
)
