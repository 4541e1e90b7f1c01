"""Each case in which other flow control has failed its users is a test, which names its number."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

FOLDER = Path(__file__).parents[1]
NUMBERS = re.compile(r"\bCases? (\d+(?:(?:, | and )\d+)*)")
# Number 11 is what a limit costs: a bar, `python -m benchmarks.pairs limited-50`. Those from 25 to
# 34 are of workflows and steps.
CASES = {*range(1, 25), 35} - {11}


def test_each_has_a_test() -> None:
    texts = [path.read_text() for path in FOLDER.rglob("test_*.py")]
    named = [numbers for text in texts for numbers in NUMBERS.findall(text)]
    assert {int(one) for numbers in named for one in re.findall(r"\d+", numbers)} >= CASES
