"""A stored traceback in parts: frames of the project, frames of others to fold, and other text."""

import re
from collections.abc import Iterator
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from taskworks.failures.fingerprint import is_own
from taskworks.logs import visible

MAX_SHOWN = 20_000  # characters; the end of a traceback says what was raised

FRAME = re.compile(r'(?P<margin>[ |]*)File "(?P<file>.*)", line \d+, in .*')
MARGIN = re.compile(r"[ |]*")


class Kind(StrEnum):
    OWN = "own"
    FOREIGN = "foreign"
    TEXT = "text"


class Part(NamedTuple):
    """Lines of a traceback that belong together, and how many frames are in them."""

    kind: Kind
    text: str
    frames: int

    @property
    def is_folded(self) -> bool:
        return self.kind == Kind.FOREIGN


class Shown(NamedTuple):
    """The parts of a traceback, and how many characters at its beginning are left out."""

    parts: list[Part]
    left_out: int


def shown(traceback: str) -> Shown:
    """Return the traceback in parts, of its end if it is long."""
    kept = traceback[-MAX_SHOWN:]
    left_out = len(traceback) - len(kept)
    if left_out and "\n" in kept:
        kept = kept.partition("\n")[2]  # the rest of a line that was cut
        left_out = len(traceback) - len(kept)
    return Shown([*_parts(visible(kept))], left_out)


def _parts(traceback: str) -> Iterator[Part]:
    for kind, some in groupby(_pieces(traceback.rstrip("\n")), key=lambda piece: piece[0]):
        texts = [text for _, text in some]
        yield Part(kind, "\n".join(texts), 0 if kind == Kind.TEXT else len(texts))


def _pieces(traceback: str) -> Iterator[tuple[Kind, str]]:
    """Yield each frame, with the lines of code that belong to it, and each other line."""
    lines = traceback.split("\n")
    start = 0
    while start < len(lines):
        end = start + 1
        if frame := FRAME.fullmatch(lines[start]):
            while end < len(lines) and _is_within(lines[end], len(frame["margin"])):
                end += 1
            kind = Kind.OWN if is_own(frame["file"]) else Kind.FOREIGN
            yield kind, "\n".join(lines[start:end])
        else:
            yield Kind.TEXT, lines[start]
        start = end


def _is_within(line: str, margin: int) -> bool:
    """Return whether this line says more of a frame with this margin."""
    found = MARGIN.match(line)
    return found is not None and found.end() > margin and not FRAME.fullmatch(line)
