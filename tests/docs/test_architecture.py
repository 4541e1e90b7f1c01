"""The reading order of the architecture page."""

import re

import pytest

from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "explanation" / "architecture.md").read_text()
SOURCE = ROOT / "src" / "taskworks"
ORDER = re.findall(r"^\| \d+ \| `(\S+)` \| (\d+) \|", PAGE, re.MULTILINE)

pytestmark = pytest.mark.any_database


def test_there_is_an_order() -> None:
    assert len(ORDER) > 10


@pytest.mark.parametrize(("file", "lines"), ORDER)
def test_its_files_are_about_as_long_as_it_says(file: str, lines: str) -> None:
    length = len((SOURCE / file).read_text().splitlines())
    assert abs(length - int(lines)) <= length / 10, f"{file} has {length} lines now"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w/]+)`", PAGE))))
def test_its_folders_of_tests_are_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("room", re.findall(r"^\| ((?:`\w+` ?)+)\|", PAGE, re.MULTILINE))
def test_its_layers_are_there(room: str) -> None:
    for name in re.findall(r"\w+", room):
        assert (SOURCE / name).is_dir() or (SOURCE / f"{name}.py").is_file(), name
