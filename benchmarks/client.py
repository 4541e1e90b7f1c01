"""The client of a producer: calls functions in the process that has the system."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from benchmarks.place import Place
from benchmarks.processes import ROOT


class NotMeasuredError(Exception):
    """Something could not be measured; the message gives the reason."""


class Client:
    """Starts and stops the producer of a system at a place."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.log = Path(place.files) / f"{place.title}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.producer"],
                cwd=ROOT,
                env=place.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # otherwise Ctrl+C would end it before its cleanup
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the system in the producer."""
        return self._ask({"module": "", "function": method, "arguments": arguments})

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the producer, with the system as its first argument."""
        name = {"module": function.__module__, "function": function.__qualname__}
        return self._ask({**name, "arguments": arguments})

    def _ask(self, question: dict[str, Any]) -> Any:
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise NotMeasuredError(self._last_words()) from None
        line = self._process.stdout.readline()
        if not line:
            raise NotMeasuredError(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            with self.log.open("a") as log:
                log.write(answer["traceback"])
            raise NotMeasuredError(answer["error"].strip())
        return answer["value"]

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"its producer ended: {lines[-1] if lines else 'it printed nothing'}"
