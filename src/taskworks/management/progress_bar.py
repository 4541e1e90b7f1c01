"""A bar that shows how far a command is, on a terminal."""

from typing import Any

WIDTH = 30  # characters


class ProgressBar:
    """A line that is written again and again; where nobody sees it, nothing is."""

    def __init__(self, output: Any, total: int | None) -> None:
        self._output, self._total = output, total
        self._is_seen = bool(getattr(output, "isatty", lambda: False)())
        self._is_shown = False

    def show(self, done: int) -> None:
        if not self._is_seen:
            return
        self._is_shown = True
        self._write(f"\r{self._bar(done)} {done:,}{self._of()} runs ")

    def end(self) -> None:
        if self._is_shown:
            self._write("\n")

    def _bar(self, done: int) -> str:
        if not self._total:
            return ""
        filled = min(WIDTH, WIDTH * done // self._total)
        return f"[{'#' * filled}{'.' * (WIDTH - filled)}]"

    def _of(self) -> str:
        return f" of {self._total:,}" if self._total else ""

    def _write(self, text: str) -> None:
        self._output.write(text, ending="")
        self._output.flush()
