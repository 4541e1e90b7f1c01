import os
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "example"

sys.path.insert(0, str(EXAMPLE))


@pytest.fixture
def source(tmp_path):
    """A folder with four modules: three that can be parsed, and a broken one."""
    folder = tmp_path / "source"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "__init__.py").write_bytes(b"")
    (folder / "package" / "short.py").write_text("def one():\n    pass\n\n\ndef two():\n    pass\n")
    (folder / "long.py").write_text(
        "import os\n\n\nasync def longest():\n    # why\n    os.getcwd()\n    return 1\n"
    )
    (folder / "broken.py").write_text("def broken(:\n    pass\n")
    (folder / "notes.txt").write_text("def not_python(): pass\n")
    return folder


@pytest.fixture
def environ(tmp_path, source):
    """The environment of a `manage.py` of the example with a database of its own."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "EXAMPLE_DATABASE": "sqlite",
        "EXAMPLE_SQLITE_PATH": str(tmp_path / "example.sqlite3"),
        "EXAMPLE_SOURCE": str(source),
        "FORCE_COLOR": "",
    }


@pytest.fixture
def manage(environ):
    """How to start a `manage.py` command of the example: the command line and its environment."""

    def command(*arguments):
        return {"args": [sys.executable, str(EXAMPLE / "manage.py"), *arguments], "env": environ}

    return command
