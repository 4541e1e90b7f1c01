"""
How long a command takes in a new process, once Django has started: ``python -m
benchmarks.cold_commands TIMES COMMANDS``, for ``benchmarks.reads``. The COMMANDS are lists of
words, in JSON. It prints a line of JSON for each time.

A process that has set up Django forks for each command, so that a command imports what it needs,
and connects, as it does when somebody calls it.
"""

import io
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import django

# How commands end that have read everything, and say that something is wrong.
EXIT_CODES = {"health": (1, 2), "status": (4,)}


def main() -> None:
    times, commands = int(sys.argv[1]), json.loads(sys.argv[2])
    django.setup()
    for words in commands:
        for _ in range(times):
            print(json.dumps(_in_a_child(words)), flush=True)


def _in_a_child(words: Sequence[str]) -> dict[str, Any]:
    mine, its = os.pipe()
    if child := os.fork():
        os.close(its)
        with os.fdopen(mine) as answer:
            text = answer.read()
        _, failed = os.waitpid(child, 0)
        if failed:
            sys.exit(f"taskworks {' '.join(words)} has failed.")
        return dict(json.loads(text))
    with os.fdopen(its, "w") as answer:
        json.dump(_measured(words), answer)
    os._exit(0)


def _measured(words: Sequence[str]) -> dict[str, Any]:
    from benchmarks.asked import watching

    with watching() as asked:
        began, before = time.perf_counter(), time.process_time()
        _call(words)
        seconds, cpu = time.perf_counter() - began, time.process_time() - before
    slowest = asked.slowest
    return {
        "words": words,
        "seconds": seconds,
        "cpu": cpu,
        "statements": asked.count,
        "slowest": slowest.seconds,
        "sql": slowest.sql,
        "given_up": asked.given_up,
    }


def _call(words: Sequence[str]) -> None:
    from django.core.management import execute_from_command_line

    output = io.StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(output):
            execute_from_command_line(["manage.py", "taskworks", *words])
    except SystemExit as end:
        if _is_refused(words, end.code):
            sys.exit(f"taskworks {' '.join(words)} ended with {end.code}: {output.getvalue()}")


def _is_refused(words: Sequence[str], code: Any) -> bool:
    return code not in (None, 0, *EXIT_CODES.get(words[0], ()))


if __name__ == "__main__":
    main()
