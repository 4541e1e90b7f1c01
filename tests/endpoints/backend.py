"""A backend of another package, with only the methods of Django's interface."""

from typing import Any

from taskworks.framework import BaseTaskBackend


class PlainBackend(BaseTaskBackend):
    supports_defer = True

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        raise NotImplementedError
