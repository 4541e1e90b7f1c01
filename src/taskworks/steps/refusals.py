"""What a step cannot call, or be called in."""

import asyncio
from collections.abc import Callable
from inspect import isawaitable, iscoroutinefunction
from typing import Any


def refuse_on_event_loop(what: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"{what} would block the event loop, so that no other coroutine goes on. In a coroutine "
        "function, use await with astep(), asleep() or await_()."
    )


def refuse_coroutine_function(
    name: str, function: Callable[..., Any], *, atomic: bool = False
) -> None:
    if not callable(function):
        raise TypeError(f"The step {name!r} needs a function to call, not {function!r:.200}.")
    if iscoroutinefunction(function):
        remedy = (
            "Django's transactions need a function, which is called in a thread."
            if atomic
            else "Use await context.astep(...)."
        )
        raise TypeError(f"The step {name!r} cannot call a coroutine function here. {remedy}")


def refuse_awaitable(name: str, returned: Any) -> None:
    if isawaitable(returned):
        if hasattr(returned, "close"):
            returned.close()
        raise TypeError(
            f"The function of step {name!r} has returned {type(returned).__name__}, which nobody "
            "awaits here. Use await context.astep(...), without atomic=True."
        )
