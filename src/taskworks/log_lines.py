"""
Log lines of a run, which are kept among its messages, and told apart from them: a line says which
logger has made it.
"""

from collections.abc import Iterable
from typing import Any

LOGGER = "logger"  # the key that only a line has
MAX_LINES = 200  # kept per run; the newest
MAX_BYTES = 32 * 1024  # of their texts together

Entry = dict[str, Any]


def messages_of(entries: Iterable[Entry]) -> list[Entry]:
    """Return those that a task has added for people."""
    return [entry for entry in entries if LOGGER not in entry]


def lines_of(entries: Iterable[Entry]) -> list[Entry]:
    """Return those that were logged."""
    return [entry for entry in entries if LOGGER in entry]


def with_message(entries: list[Entry], message: Entry, most: int) -> list[Entry]:
    """Return the entries with one more message, without the oldest messages if there are more."""
    if len(entries) < most:
        return [*entries, message]
    surplus = len(messages_of(entries)) + 1 - most
    return [*_without_oldest(entries, surplus, of_lines=False), message]


def with_lines(entries: list[Entry], more: Iterable[Entry]) -> list[Entry]:
    """Return the entries with more lines, without the oldest lines if that is too much."""
    added = [*entries, *more]
    lines = lines_of(added)
    number, size, surplus = len(lines), sum(map(_size, lines)), 0
    while surplus < len(lines) - 1 and (number - surplus > MAX_LINES or size > MAX_BYTES):
        size -= _size(lines[surplus])
        surplus += 1
    return [*_without_oldest(added, surplus, of_lines=True)]


def _without_oldest(entries: list[Entry], surplus: int, *, of_lines: bool) -> Iterable[Entry]:
    for entry in entries:
        if surplus > 0 and (LOGGER in entry) is of_lines:
            surplus -= 1
        else:
            yield entry


def _size(line: Entry) -> int:
    return len(line["text"].encode())
