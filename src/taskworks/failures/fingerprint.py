"""Which failures are one error, read from what is stored of them."""

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import taskworks
from taskworks.tracebacks import message_of

MAX_PLACE, MAX_MESSAGE = 512, 1000  # characters

FRAME = re.compile(r'^[ |]*File "(?P<file>.*)", line \d+, in (?P<function>.*)$', re.MULTILINE)
# What comes before the traceback of what was raised last, and after that of a group itself.
BEFORE = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
MEMBERS = re.compile(r"^ *\+-\+-+ 1 -+$", re.MULTILINE)
# In paths of what is not the project's: packages, the standard library, code without a file.
FOREIGN = ("/site-packages/", "/dist-packages/", "/lib/python3", "/lib64/python3", "<")
OURS = str(Path(taskworks.__file__).parent) + "/"


class Identity(NamedTuple):
    """What failures of a group have in common."""

    task_path: str
    exception: str
    place: str

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits."""
        text = json.dumps(tuple(self)).encode()
        return hashlib.sha256(text).hexdigest()[:16]


def identity_of(task_path: str, exception: str, traceback: str) -> Identity:
    """Return what a failure has in common with others; releases and line numbers do not matter."""
    return Identity(task_path, exception[:512], _place(task_path, traceback)[:MAX_PLACE])


def message(exception: str, traceback: str) -> str:
    """Return what was raised, as it said it, cut."""
    return message_of(exception, traceback)[:MAX_MESSAGE]


def _place(task_path: str, traceback: str) -> str:
    """Return the innermost frame of the project's own, or else the innermost, as file:function."""
    frames = [(m["file"], m["function"]) for m in FRAME.finditer(_of_the_last(traceback))]
    if not frames:
        return ""
    own = [frame for frame in frames if is_own(frame[0])]
    file, function = (own or frames)[-1]
    return f"{_within_project(file, task_path, [name for name, _ in frames])}:{function}"


def _of_the_last(traceback: str) -> str:
    """Return the part of a traceback that is of the exception that ended the attempt."""
    start = max(
        (at + len(said) for said in BEFORE if (at := traceback.rfind(said)) >= 0), default=0
    )
    last = traceback[start:]
    members = MEMBERS.search(last)
    return last[: members.start()] if members else last


def is_own(file: str) -> bool:
    """Return whether a file is the project's, and not a package's, Python's or ours."""
    return not file.startswith(("<", OURS)) and not any(part in file for part in FOREIGN[:-1])


def _within_project(file: str, task_path: str, files: list[str]) -> str:
    """
    Return a file's path from the root of the project. Where that is, the file of the task tells: it
    may have been another directory, on another machine. Otherwise it is on Python's path.
    """
    roots = [_root(task_path, name) for name in files]
    roots += sorted((f"{entry}/" for entry in sys.path if entry), key=len, reverse=True)
    for root in roots:
        if root and file.startswith(root):
            return file.removeprefix(root)
    return file


def _root(task_path: str, file: str) -> str:
    """Return the directory in which the module of the task is this file; "" if it is not."""
    module = task_path.split(".")
    for end in range(len(module) - 1, 0, -1):
        for name in ("/".join(module[:end]) + ".py", "/".join(module[:end]) + "/__init__.py"):
            if file.endswith(f"/{name}"):
                return file.removesuffix(name)
    return ""
