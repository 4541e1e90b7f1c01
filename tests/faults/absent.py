"""What this machine has not: named on a laptop, an error in CI."""

import os
from typing import NoReturn

import pytest


def refuse(problem: str) -> NoReturn:
    """Give up a test for it."""
    if os.environ.get("CI") == "true":
        raise AssertionError(problem)
    pytest.skip(problem)
