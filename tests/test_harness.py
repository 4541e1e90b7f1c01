"""The commands that run the tests."""

from pathlib import Path

import pytest

from tests import conftest
from tests.effort import is_of_part
from tests.lowest import lowest_versions
from tests.on_every_database import Part, progress_in

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
        "THOROUGH_ON_SERVERS",
        "ON_ONE_SERVER",
        "ON_SERVERS_IN_THE_MATRIX",
        "ONCE",
    ],
)
def test_what_is_listed_is_there(which: str) -> None:
    listed: list[Path] = getattr(conftest, which)
    assert [path for path in listed if not path.exists()] == []


def test_each_file_of_tests_is_of_one_part_and_no_part_is_much_larger() -> None:
    root = Path(__file__).parent
    found = [path.relative_to(root.parent) for path in root.rglob("test_*.py")]
    parts = [{path for path in found if is_of_part(part, path)} for part in ("1/2", "2/2")]
    assert parts[0] | parts[1] == {*found}
    assert not parts[0] & parts[1]
    assert all(len(part) > len(found) / 3 for part in parts)
    assert all(is_of_part("1/1", path) for path in found)


def test_parts_of_a_database_share_no_file_and_no_database() -> None:
    parts = [Part(database="sqlite", number=number, parts=2) for number in (1, 2)]
    for shared in ("title", "variable", "prefix"):
        assert len({getattr(part, shared) for part in parts}) == 2
    assert len({part.file(Path("files"), "xml") for part in parts}) == 2
