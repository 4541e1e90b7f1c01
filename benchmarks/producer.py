"""
The process that enqueues for one system, and reads its store: ``python -m benchmarks.producer``.

It reads calls from its standard input, one line of JSON per call, and writes the answers to its
standard output.
"""

import importlib
import json
import os
import sys
import traceback
from typing import Any, TextIO

from benchmarks.place import Place
from benchmarks.systems import system_at


def main() -> None:
    """Answer calls until the input ends."""
    answers = _private_output()
    system = system_at(Place.here())
    system.open()
    try:
        for line in sys.stdin:
            print(json.dumps(_answer(system, **json.loads(line))), file=answers, flush=True)
    finally:
        system.close()


def _answer(system: Any, module: str, function: str, arguments: list[Any]) -> dict[str, Any]:
    try:
        if module:
            return {"value": getattr(importlib.import_module(module), function)(system, *arguments)}
        return {"value": getattr(system, function)(*arguments)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}


def _private_output() -> TextIO:
    """Return the original standard output, to which no library can print."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
