"""The database alone: Taskworks' own statements on its own table, without a task system."""

from benchmarks.systems.system import ASYNC
from benchmarks.systems.taskworks import Taskworks


class Bare(Taskworks):
    name = "bare"
    packages = ()
    setting = "the statements that Taskworks sends, from a Python loop: claim 100, finish 100"
    differs = "No task is executed."
    is_served = False
    lacks = {ASYNC: "It is a loop around the driver, which has no such call."}
    parts = ("enqueue", "drain", "held", "variants")
