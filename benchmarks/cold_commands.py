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
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import Any

import django


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
        os.waitpid(child, 0)
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
    # It ends so if something is wrong, which is not the question here.
    with suppress(SystemExit), redirect_stdout(output), redirect_stderr(output):
        execute_from_command_line(["manage.py", "taskworks", *words])


if __name__ == "__main__":
    main()
