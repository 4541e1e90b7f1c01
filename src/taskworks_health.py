"""
``taskworks-health --file FILE``: says whether a worker lives, from the file that it writes with
``--heartbeat-file``.

For probes, which run it every few seconds: it imports neither Django nor the rest of Taskworks, and
asks no database. A module of its own, because whatever imports from a package imports the package.
"""

import json
import os
import sys
import time

HEALTHY, UNHEALTHY, UNKNOWN = 0, 1, 2  # exit codes
USAGE = """\
usage: taskworks-health --file FILE [--max-age SECONDS] [--processes N]

Say whether a worker lives, from the file that 'manage.py taskworks worker --heartbeat-file FILE'
writes.

options:
  --file FILE        the file
  --max-age SECONDS  the greatest age of a healthy worker's file (default: the worker's
                     WORKER_TIMEOUT, which the file says)
  --processes N      that of the worker: each of its processes writes a file, FILE.1 to FILE.N
                     (default: 1, which writes FILE)

exit codes: 0 healthy, 1 not healthy, 2 cannot tell"""
DEFAULT_MAX_AGE = 30.0  # seconds


class CannotTell(Exception):  # noqa: N818 - an answer
    """Nobody knows; the text is a sentence that says why."""


def main(arguments: "list[str] | None" = None) -> int:
    """Print a sentence about the worker, and return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if "--help" in given or "-h" in given:
        print(USAGE)  # noqa: T201 - a command
        return HEALTHY
    try:
        options = _parsed(given)
        healthy, sentences = _look(options)
    except CannotTell as error:
        print(error, file=sys.stderr)  # noqa: T201
        return UNKNOWN
    for sentence in sentences:
        print(sentence, file=sys.stdout if healthy else sys.stderr)
    return HEALTHY if healthy else UNHEALTHY


def run() -> None:
    """Be the command."""
    sys.exit(main())


def _parsed(given: "list[str]") -> "dict[str, str]":
    # Not argparse, which takes longer to import than everything else here.
    options: dict[str, str] = {}
    rest = list(given)
    while rest:
        name, has_value, value = rest.pop(0).partition("=")
        if name not in ("--file", "--max-age", "--processes"):
            raise CannotTell(f"taskworks-health has no option {name!r}.\n{USAGE}")
        if not has_value:
            if not rest:
                raise CannotTell(f"{name} needs a value.\n{USAGE}")
            value = rest.pop(0)
        options[name] = value
    if not options.get("--file"):
        raise CannotTell(f"--file is required.\n{USAGE}")
    return options


def _look(options: "dict[str, str]") -> "tuple[bool, list[str]]":
    given = options.get("--max-age")
    max_age = None if given is None else _positive("--max-age", given)
    processes = int(_positive("--processes", options.get("--processes", "1")))
    path = options["--file"]
    paths = [path] if processes == 1 else [f"{path}.{n}" for n in range(1, processes + 1)]
    found = [_state_of(one, max_age) for one in paths]
    bad = [sentence for healthy, sentence in found if not healthy]
    return not bad, bad or [sentence for _, sentence in found]


def _positive(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf") or (name == "--processes" and number != int(number)):
        raise CannotTell(f"{name} must be a positive number, not {text!r}.")
    return number


def _state_of(path: str, max_age: "float | None") -> "tuple[bool, str]":
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(65536)
            written = os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return False, f"There is no file {path!r}: the worker has not begun, or has ended."
    except (OSError, ValueError) as error:
        raise CannotTell(f"The file {path!r} cannot be read: {error}") from None
    told = _told(path, text)
    allowed = max_age or _number(told, "max_age") or DEFAULT_MAX_AGE
    age = _age(told, written)
    who = f"The worker {told.get('worker')!r} (pid {told.get('pid')})"
    if 0 <= age <= allowed:
        return True, f"{who} lives: its loop and its heartbeat succeeded {age:.1f} s ago."
    ago = f"{age:.1f} s ago" if age >= 0 else "at a time that has not come yet"
    return False, (
        f"{who} seems to be dead, or its database does not answer: its loop and its heartbeat last "
        f"succeeded {ago}, and may be {allowed:g} s old."
    )


def _told(path: str, text: str) -> "dict[str, object]":
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise CannotTell(
            f"The file {path!r} does not have what a worker writes. Is it the one of "
            "'manage.py taskworks worker --heartbeat-file'?"
        )
    return told


def _age(told: "dict[str, object]", written: float) -> float:
    """Return its age in seconds: by the clock that nobody sets, if the machine is still up."""
    since_boot = _number(told, "monotonic")
    if since_boot is not None and told.get("boot") and told["boot"] == boot():
        return time.monotonic() - since_boot
    return time.time() - written


def _number(told: "dict[str, object]", key: str) -> "float | None":
    value = told.get(key)
    return float(value) if isinstance(value, int | float) else None


def boot() -> str:
    """Return what tells this start of the machine from others; "" where nothing does."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""


if __name__ == "__main__":
    run()
