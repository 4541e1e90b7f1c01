"""Draw demo.svg: run the example's demo, and turn its output into a picture.

Run it from anywhere: `python docs/pictures/draw.py`. It needs the extra `example`.
"""

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).with_name("demo.svg")
EXAMPLE = Path(__file__).resolve().parents[2] / "example"
COLUMNS = 96
# Sequences that move the cursor or erase, with which a progress bar redraws itself.
CURSOR_CODE = re.compile(r"\x1b\[[0-9;?]*[A-HJKhl]")
FONT_FACE = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(picture_of(settled(demo())))


def demo() -> str:
    """Return the output of `manage.py demo` on a color terminal, with a new database file."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603 - our own example
            [sys.executable, str(EXAMPLE / "manage.py"), "demo"],
            env={
                **os.environ,
                "COLUMNS": str(COLUMNS),
                "FORCE_COLOR": "1",
                "TTY_COMPATIBLE": "1",
                "TERM": "xterm-256color",
                "EXAMPLE_DATABASE": "sqlite",
                "EXAMPLE_SQLITE_PATH": str(Path(folder, "demo.sqlite3")),
            },
            stdout=subprocess.PIPE,
            check=True,
        )
    # Bytes: text mode would turn each carriage return into a line break.
    return done.stdout.decode()


def settled(output: str) -> str:
    """Return the lines as they are at the end: of a redrawn line, only the last version."""
    return "\n".join(
        CURSOR_CODE.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in output.split("\n")
    ).strip()


def picture_of(output: str) -> str:
    """Return the SVG, which loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.assemble(("$ ", "bold green"), ("make demo", "bold")))
    console.print(Text.from_ansi(output))
    svg = console.export_svg(title="The example's demo", unique_id="demo")
    return FONT_FACE.sub("", svg.replace("Fira Code", "ui-monospace"))


if __name__ == "__main__":
    main()
