"""Two typed tasks: a class, and a function with annotations."""

import time
from pathlib import Path
from typing import Literal

from django.conf import settings
from sourcestats.measuring import ModuleMeasure, measure

from taskworks import current_context, task
from taskworks.typed import TypedTask, api_task
from taskworks.typed.params import (
    DictParameter,
    FloatParameter,
    IntParameter,
    ListParameter,
    StringParameter,
)

# Users see this, and not the exception's own message, which names a folder of the server.
FAILURE_MESSAGE = "The survey failed. Choose a folder of the surveyed source, such as db."


@api_task
class LongestFunctions(TypedTask):
    """Find the longest functions in a folder of Python source."""

    name = "longest_functions"
    failure_message = FAILURE_MESSAGE
    inputs = {  # noqa: RUF012 - a declaration
        "folder": StringParameter(
            default="db", min_length=1, help_text="A folder inside the surveyed source."
        ),
        "how_many": IntParameter(default=5, min_value=1, max_value=20),
        "rest": FloatParameter(
            default=0.05,
            min_value=0,
            max_value=1,
            help_text="Seconds to wait after each module, so that you can watch the progress.",
        ),
    }
    outputs = {  # noqa: RUF012
        "modules": IntParameter(),
        "longest": ListParameter(DictParameter()),
    }

    def run(self, folder: str, how_many: int, rest: float) -> dict[str, object]:
        paths = modules_in(folder)
        self.set_target(len(paths))
        found = []
        for path in paths:
            found += self.functions_of(measure_file(path))
            self.inc_progress()
            time.sleep(rest)
        return {"modules": len(paths), "longest": longest_of(found)[:how_many]}

    def functions_of(self, measured: ModuleMeasure) -> list[dict[str, object]]:
        for function in measured["longest_functions"]:
            if function["lines"] > 100:
                self.add_message(f"{function['name']}: {function['lines']} lines", level="warning")
        return [{"path": measured["path"], **found} for found in measured["longest_functions"]]


@api_task(failure_message=FAILURE_MESSAGE)
@task(typed=True)
def add_up(folder: str, what: Literal["functions", "lines", "comment_lines"] = "lines") -> int:
    """Add up one measure of all modules in a folder."""
    paths = modules_in(folder)
    if context := current_context():
        context.set_target(len(paths))
    total = 0
    for path in paths:
        total += measure_file(path)[what]
        if context:
            context.inc_progress()
    return total


def modules_in(folder: str) -> list[Path]:
    source = Path(settings.SURVEYED_SOURCE).resolve()
    below = (source / folder).resolve()
    if not below.is_relative_to(source) or not below.is_dir():
        raise ValueError(f"There is no folder {folder!r} in {source}.")
    return sorted(path for path in below.rglob("*.py") if path.is_file())


def measure_file(path: Path) -> ModuleMeasure:
    source = Path(settings.SURVEYED_SOURCE).resolve()
    return measure(path.read_bytes(), str(path.relative_to(source)))


def longest_of(functions: list[dict[str, object]]) -> list[dict[str, object]]:
    return sorted(functions, key=lambda function: -int(str(function["lines"])))
