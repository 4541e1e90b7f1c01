"""Tasks that take keywords of any name, and the names that may be mistaken for ours."""

import ast
import keyword
from pathlib import Path
from typing import Any

import taskworks
from taskworks import TaskContext, task

# asgiref's and Django's functions also stand between a caller and a task.
OF_OTHERS = {
    "self",
    "cls",
    "args",
    "kwargs",
    "func",
    "fn",
    "child",
    "loop",
    "exc_info",
    "awaitable",
}


def _names() -> list[str]:
    """Return the name of each parameter of each function of Taskworks, and some of others."""
    files = Path(taskworks.__file__).parent.rglob("*.py")
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text())))
    found = {node.arg for node in nodes if isinstance(node, ast.arg)}
    return sorted(name for name in found | OF_OTHERS if not keyword.iskeyword(name))


EVERY_NAME = {name: number for number, name in enumerate(_names())}


@task
def take(**given: Any) -> Any:
    return given


@task
async def take_async(**given: Any) -> Any:
    return given


@task(takes_context=True)
def take_with_context(context: TaskContext, /, **given: Any) -> Any:
    return given


@task(takes_context=True)
async def take_with_context_async(context: TaskContext, /, **given: Any) -> Any:
    return given


@task(transactional=True, timeout=1)
def take_in_transaction(**given: Any) -> Any:
    return given


@task
def take_self(self: int, function: int, endpoint: int) -> Any:
    return [self, function, endpoint]


@task(typed=True)
def take_typed(self: int, function: int, endpoint: int, args: int, kwargs: int) -> list[int]:
    return [self, function, endpoint, args, kwargs]


@task(typed=True)
async def take_typed_async(self: int, function: int, cls: int, func: int) -> list[int]:
    return [self, function, cls, func]


TASKS = [take, take_async, take_with_context, take_with_context_async, take_in_transaction]
