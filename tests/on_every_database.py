"""Run the tests on each database: `python -m tests.on_every_database [NAME ...] [-- PYTEST ...]`.

A database that is not there is left out, loudly and by name. It is an error where it was asked for:
by its name, or by CI=true, which asks for all of them, and for MySQL if MYSQL_HOST is set.

The tests of a database are shared by two processes, in CI by four, each with a database of its own,
so that no core is idle when the others have ended. All these parts wait in one line, of which a few
run at once (tests/turns.py). With arguments for pytest, nothing is shared, unless --parts asks for
it.

In CI, without arguments for pytest, a few tests that have failed while others ran are run once
more, with the machine to themselves. Those that pass then are named loudly, because each of them
must be fixed, but they do not fail the run.
"""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import ConnectionHandler, Error

from tests.databases import NAMES, PREFIX, database
from tests.effort import IN_THE_MATRIX
from tests.sharing import write_seconds
from tests.turns import Turns, turns_of_this_run

ROOT = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI") == "true"
CONNECT_SECONDS = 3
AT_ONCE = 4  # processes; the tests of one wait as much as they compute
SECONDS_BETWEEN_SIGNS = 60.0
PERCENTAGE = re.compile(r"\[ *(\d+)%\]$", re.MULTILINE)
PARTS = 4 if IN_CI else 2  # processes that share the tests of a database
MOST_SECOND_TRIES = 5  # tests of a database; more have not failed for want of time

_running: list[subprocess.Popen[bytes]] = []


class NotThereError(Exception):
    """A database cannot be tested on this machine; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one database."""

    name: str
    title: str  # With its version, once that is known.
    word: str
    details: str
    ok: bool
    failed: list[str] = field(default_factory=list)  # tests, by their node ids


@dataclass(frozen=True, kw_only=True)
class Part:
    """The tests of a database that one process runs: all of them, or its part."""

    database: str
    number: int = 1
    parts: int = 1

    @property
    def title(self) -> str:
        """What a person calls it."""
        if self.parts == 1:
            return self.database
        return f"{self.database}, part {self.number} of {self.parts}"

    @property
    def variable(self) -> str:
        """What tells it which tests are its own."""
        return f"{self.number}/{self.parts}"

    @property
    def prefix(self) -> str:
        """How the names of its databases begin."""
        return PREFIX if self.parts == 1 else f"{PREFIX}_{self.number}"

    def file(self, files: Path, ending: str) -> Path:
        """Where something of it is kept: of two at once, one would overwrite the other's."""
        return files / f"{self.database}-{self.number}.{ending}"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A part that has run."""

    part: Part
    code: int
    began: float
    ended: float


def main() -> int:
    """Run what the command line names; the exit code tells how it went."""
    names, options, pytest_args = _parse(sys.argv[1:])
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    demanded = {*names, *(_demanded_by_ci() if IN_CI else ())}
    # A run that is stopped leaves no process and no file behind. A shell's background job
    # inherits that SIGINT and SIGQUIT are ignored, which the processes under test must not.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    before = _processor_times()
    with tempfile.TemporaryDirectory(prefix="taskworks-test-") as folder:
        files = Path(folder)
        turns = turns_of_this_run(otherwise=files / "turns", at_once=AT_ONCE)
        titles, verdicts = _probed(names or NAMES, demanded, files)
        ended = _run_in_turn(_in_line([*titles], options.parts), turns, files, pytest_args)
        ended_on = {name: [one for one in ended if one.part.database == name] for name in titles}
        verdicts += [
            _verdict(titles[name], ran, files, pytest_args) for name, ran in ended_on.items()
        ]
        if options.write_seconds:
            write_seconds({name: _reports(ran, files) for name, ran in ended_on.items()})
        if IN_CI and not pytest_args:
            verdicts = [_after_second_try(verdict, turns, files) for verdict in verdicts]
    _summarize(verdicts)
    _tell_idle(before)
    return 0 if all(verdict.ok for verdict in verdicts) else 1


def _parse(arguments: list[str]) -> tuple[list[str], argparse.Namespace, list[str]]:
    split = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        prog="python -m tests.on_every_database", epilog="What follows -- is for pytest."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--parts", type=int, help="processes that share the tests of a database")
    parser.add_argument(
        "--write-seconds", action="store_true", help="write tests/seconds.json from this run"
    )
    options = parser.parse_args(arguments[:split])
    names, pytest_args = options.names, arguments[split + 1 :]
    if unknown := set(names).difference(NAMES):
        parser.error(f"no such database: {', '.join(sorted(unknown))}")
    options.parts = options.parts or (1 if pytest_args else PARTS)
    return names, options, pytest_args


def _in_line(names: list[str], parts: int) -> list[Part]:
    """Beside each other are parts of several databases, so that no server has all the work."""
    shared = [(name, _parts(name, parts)) for name in names]
    return sorted(
        (
            Part(database=name, number=number + 1, parts=many)
            for name, many in shared
            for number in range(many)
        ),
        key=lambda part: (part.number - 1) / part.parts,
    )


def _parts(name: str, parts: int) -> int:
    """On the servers, the other Pythons and Djangos run little: a process would mostly begin."""
    return 1 if IN_THE_MATRIX and name != "sqlite" else parts


def _demanded_by_ci() -> set[str]:
    return {name for name in NAMES if name != "mysql" or "MYSQL_HOST" in os.environ}


def _probed(
    names: Iterable[str], demanded: set[str], files: Path
) -> tuple[dict[str, str], list[Verdict]]:
    """The databases that are there, with their versions, and a verdict on each other one."""
    titles, absent = {}, []
    for name in names:
        try:
            titles[name] = f"{name} {_probe(name, files)}"
        except NotThereError as error:
            print(f"\nNOT TESTED: {name}: {error}", flush=True)
            ok = name not in demanded
            absent.append(
                Verdict(name=name, title=name, word="NOT TESTED", details=str(error), ok=ok)
            )
    return titles, absent


def _run_in_turn(
    parts: list[Part], turns: Turns, files: Path, pytest_args: list[str]
) -> list[Ended]:
    """Run all of them, a few at once; what one has said is printed when it has ended."""
    with ThreadPoolExecutor(AT_ONCE) as executor:
        try:
            running: list[Future[Ended]] = []
            with turns.first_in_line():
                for part in parts:
                    turn = turns.take()
                    running.append(executor.submit(_run_part, part, turn, files, pytest_args))
            return [one.result() for one in running]
        except KeyboardInterrupt:
            for process in _running:
                process.send_signal(signal.SIGINT)
            raise


def _run_part(part: Part, turn: IO[str], files: Path, pytest_args: list[str]) -> Ended:
    with closing(turn):
        print(f"\n=== {_platform()}, {part.title}: begins ===", flush=True)
        began = time.monotonic()
        code, output = _run_pytest(part, files, pytest_args)
        print(f"\n=== {_platform()}, {part.title} ===\n{output}", flush=True)
        return Ended(part=part, code=code, began=began, ended=time.monotonic())


def _verdict(title: str, ended: list[Ended], files: Path, pytest_args: list[str]) -> Verdict:
    name = ended[0].part.database
    # Of what is named there may be nothing for one of several processes.
    codes = [one.code for one in ended if one.code != pytest.ExitCode.NO_TESTS_COLLECTED]
    counts = _counts(_reports(ended, files))
    seconds = max(one.ended for one in ended) - min(one.began for one in ended)
    details = f"{counts}, {seconds:.0f} s"
    if not codes and pytest_args:
        return Verdict(name=name, title=title, word="no tests", details=details, ok=True)
    ok = bool(codes) and not any(codes)
    return Verdict(
        name=name,
        title=title,
        word="passed" if ok else "FAILED",
        details=details,
        ok=ok,
        failed=_failed(ended, files) if IN_CI else [],
    )


def _reports(ended: list[Ended], files: Path) -> list[Path]:
    return [one.part.file(files, "xml") for one in ended]


def _after_second_try(verdict: Verdict, turns: Turns, files: Path) -> Verdict:
    """The verdict once a few tests that have failed were run again, and nothing beside them."""
    if not 0 < len(verdict.failed) <= MOST_SECOND_TRIES:
        return verdict
    alone = Part(database=verdict.name)
    with turns.alone():
        print(f"\n=== {_platform()}, {verdict.title}: the second try begins ===", flush=True)
        code, output = _run_pytest(alone, files, verdict.failed)
    print(output, flush=True)
    report = _counts([alone.file(files, "xml")])
    if code != 0 or report != f"{len(verdict.failed)} passed":  # one that is skipped has not passed
        return verdict
    names = ", ".join(verdict.failed)
    return replace(
        verdict,
        word="passed",
        details=f"{verdict.details}; AT THE SECOND TRY ALONE, and to be fixed: {names}",
        ok=True,
    )


def _probe(name: str, files: Path) -> str:
    """Return the version of the database, after connecting to it as the tests will."""
    if name == "mysql" and "MYSQL_HOST" not in os.environ:
        raise NotThereError("no server named by MYSQL_HOST")
    try:
        connection = ConnectionHandler({"default": _without_its_tables(name, files)})["default"]
        with closing(connection):
            connection.ensure_connection()
            version = ".".join(map(str, connection.get_database_version()))
            if connection.display_name.lower() != name:
                raise NotThereError(f"the server is {connection.display_name} {version}")
    except (ImproperlyConfigured, Error) as error:
        # The first line of an error of a driver says all; hints about its set-up follow.
        reason = str(error).partition("\n")[0]
        raise NotThereError(f"cannot connect{_address(name, files)}: {reason}") from None
    return version


def _address(name: str, files: Path) -> str:
    entry = database(name, files)
    return f" to {entry['HOST']}:{entry['PORT']}" if "HOST" in entry else ""


def _without_its_tables(name: str, files: Path) -> dict[str, Any]:
    """Return the settings to connect to the server, whatever databases it has."""
    entry = database(name, files)
    if name == "sqlite":
        return {**entry, "NAME": ":memory:"}
    return {**entry, "NAME": None, "OPTIONS": {"connect_timeout": CONNECT_SECONDS}}


def _run_pytest(part: Part, files: Path, arguments: list[str]) -> tuple[int, str]:
    """Its exit code, and what it has said: of two at once nobody could read anything."""
    environ = {
        **os.environ,
        "TASKWORKS_TEST_DATABASE": part.database,
        "TASKWORKS_TEST_PART": part.variable,
        "TASKWORKS_TEST_PREFIX": part.prefix,
        "TASKWORKS_TEST_FILES": str(files),
    }
    # Or each of hundreds of processes would compile the sources again.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # A database of a run that was killed is replaced; pytest-django asks nobody.
    report = part.file(files, "xml")
    command = [sys.executable, "-m", "pytest", "--create-db", f"--junitxml={report}"]
    if IN_CI:  # else somebody may want it to know what has failed last
        command += ["-o", f"cache_dir={part.file(files, 'cache')}"]
    said = part.file(files, "log")
    with said.open("w") as log:
        process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, env=environ, process_group=0, stdout=log, stderr=log
        )
    _running.append(process)
    try:
        code = _wait_for(process, part, said)
        return code, said.read_text(errors="replace")
    finally:
        # Workers that a test has left behind would claim the runs of the next tests.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(process: "subprocess.Popen[bytes]", part: Part, said: Path) -> int:
    """Wait until it ends; print a line each minute, which shows that it is not stuck."""
    began = time.monotonic()
    while True:
        try:
            return process.wait(timeout=SECONDS_BETWEEN_SIGNS)
        except subprocess.TimeoutExpired:
            minutes = round((time.monotonic() - began) / 60)
            progress = progress_in(said.read_text(errors="replace"))
            print(f"{_platform()}, {part.title}: {progress} after {minutes} min", flush=True)


def progress_in(output: str) -> str:
    """Return how far pytest is, by the last percentage that it printed."""
    percentages = PERCENTAGE.findall(output)
    return f"{percentages[-1]} % of the tests" if percentages else "begins"


def _failed(ended: list[Ended], files: Path) -> list[str]:
    """The tests that have failed; none if something else has, for which no second try is enough."""
    code = pytest.ExitCode
    if {one.code for one in ended} - {code.OK, code.TESTS_FAILED, code.NO_TESTS_COLLECTED}:
        return []
    return [
        test
        for one in ended
        if one.code == code.TESTS_FAILED
        for test in json.loads(_last_failed(one.part, files).read_text())
    ]


def _last_failed(part: Part, files: Path) -> Path:
    return part.file(files, "cache") / "v" / "cache" / "lastfailed"


def _counts(reports: list[Path]) -> str:
    if not all(report.exists() for report in reports):
        return "pytest died before its report"
    suites = [ElementTree.parse(report).getroot().find("testsuite") for report in reports]
    count = {
        word: sum(int(suite.get(word, 0)) for suite in suites if suite is not None)
        for word in ("tests", "failures", "errors", "skipped")
    }
    passed = count.pop("tests") - sum(count.values())
    found = [f"{many} {word}" for word, many in count.items() if many]
    return ", ".join([f"{passed} passed", *found])


def _summarize(verdicts: list[Verdict]) -> None:
    print(f"\n=== {_platform()} ===")
    for verdict in verdicts:
        print(f"{verdict.title:<20} {verdict.word:<10} {verdict.details}")


def _processor_times() -> list[int]:
    """Of all processors since the machine started: user, nice, system, idle, iowait, ..."""
    with suppress(OSError):
        line, *_ = Path("/proc/stat").read_text().splitlines()
        return [int(time) for time in line.split()[1:]]
    return []


def _tell_idle(before: list[int]) -> None:
    """How much of the machine was not used, for whoever wants to make the tests faster."""
    passed = [now - then for then, now in zip(before, _processor_times(), strict=False)]
    if sum(passed):
        print(f"The processors were idle for {sum(passed[3:5]) / sum(passed):.0%} of the time.")


def _platform() -> str:
    return f"Python {platform.python_version()}, Django {django.get_version()}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
