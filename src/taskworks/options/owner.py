"""The owner of a run: the text that is stored with it."""

from typing import Any

from taskworks.exceptions import InvalidTask

ANYBODY = ""  # the run may be used by anybody who knows its id
MAX_LENGTH = 255  # characters


def owner_of(user: Any) -> str:
    """
    Return the owner as it is stored: the primary key of a user as text, a text unchanged, or "" for
    an anonymous user. Raise InvalidTask for anything else.
    """
    if not isinstance(user, str):
        if getattr(user, "is_anonymous", False):
            return ANYBODY
        pk = getattr(user, "pk", None)
        if pk is None:
            raise InvalidTask(
                f"owner must be a user with a primary key, or that key as text, not {user!r}."
            )
        user = str(pk)
    owner: str = user
    if len(user) > MAX_LENGTH or not user.isprintable():
        raise InvalidTask(
            f"owner must be at most {MAX_LENGTH} printable characters, not {user[:50]!r}."
        )
    return owner
