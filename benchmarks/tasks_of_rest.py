"""The tasks that ``benchmarks.rest`` starts."""

import time

from taskworks import task
from taskworks.typed import TypedTask, params


class Three(TypedTask):
    name = "three"
    inputs = {
        "text": params.StringParameter(max_length=100),
        "number": params.IntParameter(min_value=0),
        "flag": params.BooleanParameter(),
    }

    def run(self, text: str, number: int, flag: bool) -> None:
        pass


class Steps(TypedTask):
    """Set the progress to the time in milliseconds, again and again."""

    name = "steps"
    inputs = {"steps": params.IntParameter()}

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.set_progress(int(1000 * time.time()))
            time.sleep(0.05)


@task
def three(text: str, number: int, flag: bool) -> None:
    """The same without types."""
