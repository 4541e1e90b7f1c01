"""
How several processes share the files of tests: TASKWORKS_TEST_PART=2/3 is the second of three. The
files that take longest are dealt out by how long they take, which tests/seconds.json says, and all
others by a checksum, so that a test has the same tests before it in each run.

`python -m tests.on_every_database --write-seconds` measures, and writes that file.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree
from zlib import crc32

ROOT = Path(__file__).parent
SECONDS = ROOT / "seconds.json"
LONG = 4.0  # seconds; a file that takes less is dealt out by its checksum
SALT = 311  # with which the files that take longest are not all of one part, even if none is listed

PART, PARTS = map(int, os.environ.get("TASKWORKS_TEST_PART", "1/1").split("/"))


def seconds_on(database: str) -> dict[str, float]:
    """How long each of the long files takes on this database, as far as anybody has measured it."""
    measured: dict[str, dict[str, float]] = json.loads(SECONDS.read_text())
    return measured.get("mariadb" if database == "mysql" else database, {})


def dealt_out(seconds: dict[str, float], parts: int) -> dict[str, int]:
    """The part of each long file: the longest first, each to the part that has least so far."""
    loads = [0.0] * parts
    dealt = {}
    for file in sorted(seconds, key=lambda file: (-seconds[file], file)):
        part = loads.index(min(loads))
        loads[part] += seconds[file]
        dealt[file] = part + 1
    return dealt


def part_of(file: str, dealt: dict[str, int], parts: int) -> int:
    """The part that runs the tests of a file, such as "tests/test_conf.py"."""
    return dealt.get(file) or crc32(file.encode(), SALT) % parts + 1


def write_seconds(reports: dict[str, Iterable[Path]]) -> None:
    """Write how long the files took on each of these databases, as the reports of pytest say."""
    measured = json.loads(SECONDS.read_text())
    for database, files in reports.items():
        measured[database] = _long_ones(files)
    SECONDS.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")


def _long_ones(reports: Iterable[Path]) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            if file := _file_of(case.get("classname", "")):
                seconds[file] += float(case.get("time", 0))
    return {file: round(taken, 1) for file, taken in seconds.items() if taken >= LONG}


def _file_of(classname: str) -> str | None:
    """The file of "tests.store.test_plans", or of a class in it; None if it is of none here."""
    place = ROOT.parent.joinpath(*classname.split("."))
    for path in (place, *place.parents):
        file = path.with_suffix(".py") if path.is_relative_to(ROOT) else path
        if file.is_file():
            return file.relative_to(ROOT.parent).as_posix()
    return None
