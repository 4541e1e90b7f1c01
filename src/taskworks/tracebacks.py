"""
What is stored of an exception, and what was raised, read from that.

A traceback ends with the class and the message of the exception, maybe in several lines. That of
an exception group goes on with the tracebacks of its members, further to the right.
"""

from itertools import takewhile

OF_A_GROUP = "  | "  # before each line of a group; those of its members begin with more spaces
RULE = "+-"  # begins the lines between the members


def entry_of(kind: type[BaseException], message: str) -> dict[str, str]:
    """Return what is stored of an exception that nothing has raised."""
    path = f"{kind.__module__}.{kind.__qualname__}"
    return {"exception_class_path": path, "traceback": f"{path}: {message}\n"}


def message_of(path: str, traceback: str) -> str:
    """Return the message of the exception whose class has this path."""
    first, *others = _own_lines(path, traceback)
    return "\n".join([first.partition(":")[2].strip(), *others]).strip()


def summary_of(path: str, traceback: str) -> str:
    """Return the name of the class, and the first line of the message if there is one."""
    message = message_of(path, traceback).partition("\n")[0]
    return f"{_name(path)}: {message}" if message else _name(path)


def shortened(path: str, traceback: str) -> str:
    """Return a traceback that only says what was raised."""
    return f"{_own_lines(path, traceback)[0]}\n"


def _own_lines(path: str, traceback: str) -> list[str]:
    """Return the lines that say what was raised, the first of which begins with the class."""
    lines = traceback.rstrip("\n").split("\n")
    for index in range(len(lines) - 1, -1, -1):
        margin = OF_A_GROUP if lines[index].startswith(OF_A_GROUP) else ""
        if lines[index].removeprefix(margin).partition(":")[0] in _spellings(path):
            return _within(margin, lines[index:])
    return [f"{_name(path)}: {_last_words(lines)}"]


def _spellings(path: str) -> set[str]:
    return {path, _name(path), path.removeprefix("builtins."), path.removeprefix("__main__.")}


def _name(path: str) -> str:
    return path.rpartition(".")[2]


def _within(margin: str, lines: list[str]) -> list[str]:
    """Return the lines up to the first that does not begin with the margin, without it."""
    own = takewhile(lambda line: line.startswith(margin), lines)
    return [line.removeprefix(margin) for line in own]


def _last_words(lines: list[str]) -> str:
    """Return the last line that says anything: what was raised may have been left out."""
    words = (line.lstrip("| ") for line in reversed(lines))
    return next((said for said in words if said and not said.startswith(RULE)), "")
