import re
import subprocess
import sys
from html import unescape

import pytest

from .conftest import EXAMPLE

pytest.importorskip("rich")

LAST_LINE = re.compile(
    r"demo: modules=(\d+) successful=(\d+) failed=(\d+) functions=(\d+) seconds=\d+\.\d\d"
)

DEMO_WITH_A_WRONG_DIRECT_COUNT = """
import django
from django.core.management import call_command

django.setup()

from sourcestats import outcome

outcome.count_directly = lambda source: outcome.DirectCount(4, 1, 99)
call_command("demo")
"""


PICTURE = EXAMPLE.parent / "docs" / "pictures" / "demo.svg"


def demo(manage, *arguments):
    return subprocess.run(
        **manage("demo", *arguments), capture_output=True, text=True, timeout=90, check=False
    )


def sums(output):
    return tuple(map(int, LAST_LINE.fullmatch(output.splitlines()[-1]).groups()))


def test_the_demo_measures_what_can_be_parsed_and_names_what_cannot(manage, source):
    ended = demo(manage, "--source", str(source))

    assert ended.returncode == 0, ended.stderr
    assert sums(ended.stdout) == (4, 3, 1, 3)
    assert "Failed: broken.py: SyntaxError: " in ended.stdout
    assert "longest" in ended.stdout
    assert "\x1b" not in ended.stdout
    assert numbers(ended.stdout) == {"enqueued": 5, "modules": 4, "runs": 5}


def test_the_picture_shows_such_numbers():
    lines = re.split(r"<[^>]+>", PICTURE.read_text())
    shown = numbers(" ".join(unescape(line) for line in lines).replace("\xa0", " "))
    assert shown["enqueued"] == shown["runs"] == shown["modules"] + 1  # one adds the others up


def numbers(output):
    """How many modules there are, and how many runs, by each line that says so."""
    found = {
        "enqueued": re.search(r"([\d,]+) runs enqueued in", output),
        "modules": re.search(r"\bmodules +([\d,]+)", output),
        "runs": re.search(r"\bruns +([\d,]+)", output),
    }
    return {name: int(match[1].replace(",", "")) for name, match in found.items()}


@pytest.mark.not_every_day
def test_a_second_demo_counts_only_its_own_runs(manage, source):
    demo(manage, "--source", str(source))
    (source / "new.py").write_text("def three(): pass\n")

    ended = demo(manage, "--source", str(source))

    assert ended.returncode == 0, ended.stderr
    assert sums(ended.stdout) == (5, 4, 1, 4)


@pytest.mark.not_every_day
def test_a_folder_without_python_is_no_trouble(manage, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()

    ended = demo(manage, "--source", str(empty))

    assert ended.returncode == 0, ended.stderr
    assert sums(ended.stdout) == (0, 0, 0, 0)


def test_a_folder_that_is_not_there_is_an_error(manage, tmp_path):
    ended = demo(manage, "--source", str(tmp_path / "missing"))

    assert ended.returncode != 0
    assert "must be a folder" in ended.stderr


@pytest.mark.not_every_day
def test_a_worker_that_dies_is_noticed(manage, source):
    ended = demo(manage, "--source", str(source), "--threads", "-1")

    assert ended.returncode == 1
    assert "The worker ended with exit code" in ended.stderr


@pytest.mark.not_every_day
def test_sums_that_differ_are_an_error(environ):
    ended = subprocess.run(
        [sys.executable, "-c", DEMO_WITH_A_WRONG_DIRECT_COUNT],
        cwd=EXAMPLE,
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert ended.returncode == 1
    assert "Error: The survey found 3 functions, but the direct count found 99." in ended.stdout
    assert sums(ended.stdout) == (4, 3, 1, 3)


def test_the_models_match_their_migrations(manage):
    command = manage("makemigrations", "--check", "--dry-run", "sourcestats")
    ended = subprocess.run(**command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr
