"""Texts that people write about what they do, such as the reason of a pause."""

from typing import Any

from taskworks.jsonvalue import can_be_stored


def refuse_bad_text(name: str, text: Any, most: int) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a string, not {text!r}.")
    if len(text) > most:
        raise ValueError(f"{name} must be at most {most} characters long, not {len(text)}.")
    if not can_be_stored(text):
        raise ValueError(f"{name} must not contain NUL or half of a surrogate pair: {text!r}.")
