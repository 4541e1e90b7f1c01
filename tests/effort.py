"""How thorough this run of the tests is: TASKWORKS_TEST_THOROUGHLY says so, or else CI."""

import os

_WORD = os.environ.get("TASKWORKS_TEST_THOROUGHLY")

# In CI, and when it is asked for: everything, on each database.
THOROUGH = (_WORD or os.environ.get("CI")) == "true"
# The other Pythons and Djangos: what is run every day, without what says nothing of them.
IN_THE_MATRIX = _WORD == "false"
# What takes many minutes, and so is run on request.
EVERY_CASE = "TASKWORKS_TEST_EVERY_CASE" in os.environ


def examples(many: int) -> int:
    """
    How many of these hypothesis makes up: all on request, half if the run is thorough, and a fifth
    every day.
    """
    return many if EVERY_CASE else many // 2 if THOROUGH else many // 5
