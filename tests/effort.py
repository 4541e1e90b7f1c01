"""
How thorough this run of the tests is: TASKWORKS_TEST_THOROUGHLY says so, or else CI. And which part
of the tests it has, if several processes share them: "2/3" in TASKWORKS_TEST_PART is the second.
"""

import os
from pathlib import Path
from zlib import crc32

SALT = 311  # with which the files that take longest are not all of one part

_WORD = os.environ.get("TASKWORKS_TEST_THOROUGHLY")

# In CI, and when it is asked for: everything, on each database.
THOROUGH = (_WORD or os.environ.get("CI")) == "true"
# The other Pythons and Djangos: what is run every day, without what says nothing of them.
IN_THE_MATRIX = _WORD == "false"
# What takes many minutes, and so is run on request.
EVERY_CASE = "TASKWORKS_TEST_EVERY_CASE" in os.environ


def examples(many: int) -> int:
    """So many of what hypothesis makes up if the run is thorough, and a fifth of them every day."""
    return many if THOROUGH else many // 5


def is_of_this_part(file: Path) -> bool:
    """Whether this process runs the tests of a file, such as `tests/test_conf.py`."""
    return is_of_part(os.environ.get("TASKWORKS_TEST_PART", "1/1"), file)


def is_of_part(part: str, file: Path) -> bool:
    """
    Whether a file is of a part such as "2/3". Each file is of one of them, whatever others there
    are, so that a test has the same tests before it in each run.
    """
    number, parts = map(int, part.split("/"))
    return crc32(file.as_posix().encode(), SALT) % parts == number - 1
