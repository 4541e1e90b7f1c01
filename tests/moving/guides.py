"""Small projects that were written for other packages, and what a guide changes in them."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docs.pages import DOCS, ROOT

PROJECTS = Path(__file__).parent / "projects"


class Project:
    """A copy of a project, in which commands are executed."""

    def __init__(self, name: str, root: Path, **environment: str) -> None:
        self.root = root / name
        shutil.copytree(PROJECTS / name, self.root, ignore=shutil.ignore_patterns("__pycache__"))
        self.notes = self.root / "notes"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("DJANGO")},
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SHOP_DATABASE": str(self.root / "db.sqlite3"),
            "SHOP_NOTES": str(self.notes),
            **environment,
        }

    def manage(self, *arguments: str) -> str:
        """What a command of manage.py prints; it must succeed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def python(self, code: str) -> str:
        """The last line that this code prints."""
        return self.manage("shell", "-v", "0", "-c", code).strip().rpartition("\n")[2]

    @contextmanager
    def running(self, *arguments: str) -> Iterator[None]:
        """Run a command until the block ends."""
        log = self.root / "log"
        with (
            log.open("w") as file,
            subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=self.root,
                env=self.environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            ) as process,
        ):
            try:
                yield
            except BaseException as error:
                error.add_note(log.read_text()[-3000:])
                raise
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)

    def noted(self) -> list[str]:
        """What its tasks have noted, in alphabetical order."""
        return sorted(self.notes.read_text().splitlines()) if self.notes.exists() else []

    def follow_the_guide(self, page: str) -> None:
        """Make the changes that a page shows; begin anew with the database and the notes."""
        text = (DOCS / "howto" / page).read_text()
        [diff] = re.findall(r"^```diff\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for part in re.split(r"^--- ", diff, flags=re.MULTILINE)[1:]:
            path, *hunks = re.split(r"^@@\n", part, flags=re.MULTILINE)
            self._change(self.root / path.strip(), hunks)
        self.notes.unlink(missing_ok=True)

    def _change(self, file: Path, hunks: list[str]) -> None:
        text = file.read_text()
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] or "\n" for line in lines if line[0] in " -\n")
            new = "".join(line[1:] or "\n" for line in lines if line[0] in " +\n")
            assert text.count(old) == 1, f"{file.name} does not have, once:\n{old}"
            text = text.replace(old, new)
        file.write_text(text)
