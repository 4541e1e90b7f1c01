"""
What looks like a secret, and asterisks in its place: values of keys such as "password" or
"api_key", at any depth, and passwords in addresses.
"""

import re
from collections.abc import Mapping
from typing import Any

MASK = "********"
DEEPEST = 50  # levels that are shown
TOO_DEEP = "…"

# What Django hides in its error pages, and more. "pin" and the like only as words.
SECRET = re.compile(
    r"api|auth|token|key|secret|pass|signature|cookie|credential|card|iban"
    r"|(?<![a-z])(?:ssn|pwd|pin|cvv|cvc|otp|jwt|session_?id)(?![a-z])",
    re.IGNORECASE,
)
# Words that only contain one of these.
INNOCENT = re.compile(
    r"authors?(?![a-z])|passengers?|passages?|pass(?:ed|es|ing|ive)|compass|bypass|rapid|capital\w*"
    r"|keyboards?|keywords?|monkeys?|turkeys?|cardinal\w*|cardboard|discard\w*|wildcards?"
    r"|postcards?|scorecards?",
    re.IGNORECASE,
)
HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
PASSWORD_IN_ADDRESS = re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]+(?=@)")


def is_secret(name: str) -> bool:
    """Return whether what has this name is masked."""
    words = HUMPS.sub("_", name)
    return bool(SECRET.search(INNOCENT.sub("", words)))


def masked(value: Any) -> Any:
    """Return a decoded value with what looks like a secret replaced by asterisks."""
    return _masked(value, DEEPEST)


def masked_text(text: str) -> str:
    """Return a text with the passwords in addresses masked."""
    return PASSWORD_IN_ADDRESS.sub(rf"\1:{MASK}", text) if "@" in text else text


def outline(value: Any) -> Any:
    """Return only the keys and types of a value, for those who may not see it."""
    return _outline(value, DEEPEST)


def _masked(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return masked_text(value)
    if not isinstance(value, Mapping | list):
        return value
    if depth == 0:
        return TOO_DEEP
    if isinstance(value, list):
        return [_masked(item, depth - 1) for item in value]
    return {
        key: MASK if is_secret(str(key)) and item is not None else _masked(item, depth - 1)
        for key, item in value.items()
    }


def _outline(value: Any, depth: int) -> Any:
    if depth and isinstance(value, Mapping):
        return {key: _outline(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list):
        return [_outline(item, depth - 1) for item in value]
    return f"({NAMES_OF_TYPES.get(type(value), type(value).__name__)})"


NAMES_OF_TYPES: dict[type, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
