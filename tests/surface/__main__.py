"""Write the records anew: ``python -m tests.surface``."""

import os
import sys
from pathlib import Path

import pytest

from tests.surface.record import WRITE

if __name__ == "__main__":
    os.environ[WRITE] = "true"
    sys.exit(pytest.main([str(Path(__file__).parent), "-q"]))
