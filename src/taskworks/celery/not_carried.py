"""What of Celery is not carried here, and what to use in its place."""

from typing import NoReturn

from taskworks.documentation import page

PAGE = page("howto/what-to-leave-with-celery")

CANVAS = (
    "Of Celery's canvas, signatures, chain, group and chord are carried. Use these, or enqueue the "
    "next task at the end of the one before it."
)
AFTER_ALL = (
    "Use chain(task.s(...), next_task.s()), or for a failure taskworks.Batch(failed=...) or a "
    "receiver of task_finished."
)
ELSEWHERE = (
    "Import the tasks, chain, group and chord from taskworks.celery, or enqueue the next task at "
    "the end of the one before it."
)
# By the name in Celery.
INSTEAD = {
    "App": "An App has tasks, and nothing else. taskworks.celery.Celery is an app of the real "
    "Celery, with its settings, whose tasks are stored as runs.",
    **dict.fromkeys(("chunks", "subtask", "maybe_signature", "stamp"), CANVAS),
    **dict.fromkeys(("map", "starmap", "xmap", "xstarmap", "replace"), CANVAS),
    **dict.fromkeys(("add_to_chord", "subtask_from_request"), CANVAS),
    **dict.fromkeys(("link", "link_error"), AFTER_ALL),
    **dict.fromkeys(("chain", "chord", "group_id", "group_index"), ELSEWHERE),
    "base": "Classes of tasks are not carried. Put what they do into functions, or into a "
    "decorator below @shared_task.",
    "current_app": "There is no app here. Use the task itself, and the settings of Django.",
    "current_task": "Use bind=True and self, or taskworks.current_context().",
    "Ignore": "Return from the task.",
    "Reject": "Raise taskworks.Snooze to be executed again later, or return.",
    "rate_limit": "A limit here is of runs at a time: limit=taskworks.Limit(...).",
    "task_id": "Ids are given here. If it is to keep a task from being enqueued twice, use "
    "unique=taskworks.Unique(...).",
    "exchange": "There is no broker. Use queue=...",
    "routing_key": "There is no broker. Use queue=...",
    "exchange_type": "There is no broker. Use queue=...",
    "headers": "There is no broker. Pass an argument, or metadata={...} to the decorator.",
    "pydantic": "Use taskworks.task(typed=True), which validates inputs by Pydantic.",
    "backend": "Results are stored in the database of TASKS.",
    "crontab": "Schedules are rows here: move those of beat by manage.py taskworks "
    "import-schedules.",
    "schedule": "Schedules are rows here: move those of beat by manage.py taskworks "
    "import-schedules.",
    "solar": "There are no solar schedules here. Keep beat for them.",
    "signals": "Use those of taskworks.signals.",
    "serializer": "Arguments and results are JSON here. Pass an id or a dict.",
    "throw": "retry() always raises here.",
    "args": "A run keeps its arguments. Enqueue the task with others, and return.",
    "kwargs": "A run keeps its arguments. Enqueue the task with others, and return.",
    "filter": "Define tasks as functions of a module.",
}
# Names of modules, which can be imported from a package of this name.
NAMES = frozenset(
    [
        "chunks",
        "subtask",
        "maybe_signature",
        "xmap",
        "xstarmap",
        "current_app",
        "current_task",
        "signals",
        "crontab",
        "schedule",
        "solar",
        "Ignore",
        "Reject",
    ]
)


class NotCarried(TypeError):  # noqa: N818 - a public name
    """Something of Celery that is not carried here; says what to use instead, and the page."""


class NotCarriedName(NotCarried, ImportError):  # noqa: N818
    """The same, of a name that is imported."""


def not_carried(what: str, name: str) -> NotCarried:
    """Return the error about this use of a name of Celery, such as ``base=Singleton``."""
    return NotCarried(_sentence(what, name))


def refuse_name(module: str, name: str) -> NoReturn:
    """Raise NotCarriedName for a name of Celery that is not carried, AttributeError for others."""
    if name in NAMES:
        raise NotCarriedName(_sentence(f"{name} of {module.replace('taskworks.', '')}", name))
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def _sentence(what: str, name: str) -> str:
    instead = INSTEAD.get(name, "")
    return f"{what} is not carried.{f' {instead}' if instead else ''} See {PAGE}"
