"""The database alone: Taskworks' own statements on its own table, without a task system."""

from typing import Any

from benchmarks.systems.system import ASYNC
from benchmarks.systems.taskworks import Taskworks


class Bare(Taskworks):
    name = "bare"
    packages = ()
    setting = (
        "the statements that Taskworks sent at commit 094db0b, from a Python loop: claim 100, "
        "finish 100"
    )
    differs = "No task is executed."
    is_served = False
    lacks = {ASYNC: "It is a loop around the driver, which has no such call."}
    parts = ("enqueue", "drain")

    def verbs(self) -> tuple[Any, Any]:
        """Return the statements that claim, and that finish, 100 runs."""
        from benchmarks import fixed

        return fixed.verbs()

    def insertion(self, size: int) -> Any:
        """Return the INSERTs of ``size`` runs."""
        from benchmarks import fixed

        return fixed.insertion(size)


class BareToday(Bare):
    name = "bare-today"
    setting = "the same with the statements that Taskworks sends today"
    parts = ("enqueue", "drain", "held", "variants")

    def verbs(self) -> tuple[Any, Any]:
        from benchmarks import bare

        return bare.verbs(self)

    def insertion(self, size: int) -> Any:
        from benchmarks import bare

        return bare.insertion(self, size)
