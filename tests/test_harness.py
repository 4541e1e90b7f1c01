"""The commands that run the tests."""

import fcntl
import json
import time
from collections import Counter
from pathlib import Path

import pytest

from tests import conftest, on_every_database, sharing
from tests.lowest import lowest_versions
from tests.on_every_database import Ended, Part, progress_in
from tests.sharing import dealt_out, part_of, write_seconds
from tests.turns import Turns

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    ("output", "progress"),
    [
        ("", "begins"),
        ("collected 3 items\n", "begins"),
        ("tests/a.py .. [  4%]\ntests/b.py ... [ 37%]\ntests/c.py .", "37 % of the tests"),
        ("....... [100%]\n", "100 % of the tests"),
    ],
)
def test_progress_is_the_last_percentage_that_pytest_printed(output: str, progress: str) -> None:
    assert progress_in(output) == progress


def test_the_lowest_versions_are_those_of_the_project_and_its_extras_without_its_tools() -> None:
    project = {
        "dependencies": ["Django>=5.2", "cronsim>=2.7"],
        "optional-dependencies": {
            "postgresql": ["psycopg[binary]>=3.2.2"],
            "rest": ["django-taskworks[typed]", "djangorestframework>=3.16"],
            "dev": ["pytest>=8.3"],
        },
    }
    assert lowest_versions(project) == {
        "Django": "5.2",
        "cronsim": "2.7",
        "psycopg": "3.2.2",
        "djangorestframework": "3.16",
    }


@pytest.mark.parametrize(
    "which",
    [
        "ANY_DATABASE",
        "SLOW",
        "NOT_EVERY_DAY",
        "ON_ONE_SERVER",
        "ON_POSTGRESQL",
        "ON_SERVERS",
        "ON_SECOND_SERVER_IN_THE_MATRIX",
        "BETWEEN",
        "ON_NO_SERVER",
        "ONCE",
    ],
)
def test_what_is_listed_is_there(which: str) -> None:
    listed: list[Path] = getattr(conftest, which)
    assert [path for path in listed if not path.exists()] == []


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_the_parts_share_the_files_of_tests_evenly(parts: int) -> None:
    root = Path(__file__).parent
    files = [path.relative_to(root.parent).as_posix() for path in root.rglob("test_*.py")]
    shares = Counter(part_of(file, {}, parts) for file in files)
    assert {*shares} == {*range(1, parts + 1)}
    assert min(shares.values()) > len(files) / parts / 2


def test_long_files_are_dealt_out_by_how_long_they_take() -> None:
    seconds = {"long": 50.0, "half": 25.0, "the other half": 25.0, "short": 4.0}
    dealt = dealt_out(seconds, 2)
    assert dealt == {"long": 1, "half": 2, "the other half": 2, "short": 1}
    assert [part_of(file, dealt, 2) for file in dealt] == [*dealt.values()]
    assert {*dealt_out(seconds, 1).values()} == {1}


def test_how_long_files_took_is_written_from_the_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "SECONDS", tmp_path / "seconds.json")
    (tmp_path / "seconds.json").write_text('{"sqlite": {"tests/a.py": 5}, "mariadb": {"b": 9}}')
    cases = [("tests.test_conf", 3), ("tests.test_conf.TestClass", 2), ("tests.test_logs", 1)]
    cases += [("", 9), ("elsewhere", 9)]  # of a suite that is not in files here
    for number, (name, taken) in enumerate(cases):
        case = f'<testcase classname="{name}" time="{taken}"/>'
        (tmp_path / f"{number}.xml").write_text(f"<testsuites>{case}</testsuites>")
    write_seconds({"sqlite": tmp_path.glob("*.xml")})
    written = json.loads((tmp_path / "seconds.json").read_text())
    assert written == {"sqlite": {"tests/test_conf.py": 5.0}, "mariadb": {"b": 9}}


def test_who_finds_no_turn_waits_until_another_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_one_run, of_another = Turns(tmp_path, 2), Turns(tmp_path, 2)
    first, _second = of_one_run.take(), of_one_run.take()
    monkeypatch.setattr(time, "sleep", lambda seconds: first.close())
    with of_another.take():
        assert first.closed


def test_nobody_else_has_a_turn_or_a_place_in_line_while_one_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns(tmp_path, 2)
    other = turns.take()
    monkeypatch.setattr(time, "sleep", lambda seconds: other.close())
    with turns.alone():
        assert other.closed
        assert [_is_free(tmp_path / name) for name in ("line", "turn-0", "turn-1")] == [False] * 3
    assert [_is_free(tmp_path / name) for name in ("line", "turn-0", "turn-1")] == [True] * 3


def _is_free(file: Path) -> bool:
    with file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.mark.parametrize(
    ("is_in_the_matrix", "line"),
    [
        (False, ["sqlite 1/2", "mariadb 1/2", "sqlite 2/2", "mariadb 2/2"]),
        (True, ["sqlite 1/2", "mariadb 1/1", "sqlite 2/2"]),
    ],
)
def test_each_database_has_a_part_that_begins_at_once(
    monkeypatch: pytest.MonkeyPatch, is_in_the_matrix: bool, line: list[str]
) -> None:
    monkeypatch.setattr(on_every_database, "IN_THE_MATRIX", is_in_the_matrix)
    parts = on_every_database._in_line(["sqlite", "mariadb"], 2)
    assert [f"{part.database} {part.variable}" for part in parts] == line


@pytest.mark.parametrize(
    ("codes", "arguments", "word"),
    [
        ((0, 0), [], "passed"),
        ((0, 1), [], "FAILED"),
        ((0, 5), [], "passed"),  # nothing was left for the second one
        ((5, 1), [], "FAILED"),
        ((5, 5), ["tests/none"], "no tests"),
        ((5, 5), [], "FAILED"),
    ],
)
def test_the_verdict_on_a_database_is_that_of_its_parts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    codes: tuple[int, int],
    arguments: list[str],
    word: str,
) -> None:
    monkeypatch.setattr(on_every_database, "IN_CI", False)  # nothing is tried again
    ended = []
    for number, code in enumerate(codes, start=1):
        part = Part(database="sqlite", number=number, parts=2)
        part.file(tmp_path, "xml").write_text('<testsuites><testsuite tests="1"/></testsuites>')
        ended.append(Ended(part=part, code=code, began=0.0, ended=1.0))
    verdict = on_every_database._verdict("sqlite 3", ended, tmp_path, arguments)
    assert (verdict.word, verdict.ok) == (word, word != "FAILED")


def test_parts_of_a_database_share_no_file_and_no_database() -> None:
    parts = [Part(database="sqlite", number=number, parts=2) for number in (1, 2)]
    for shared in ("title", "variable", "prefix"):
        assert len({getattr(part, shared) for part in parts}) == 2
    assert len({part.file(Path("files"), "xml") for part in parts}) == 2
