"""Whose a run is, as a text that is stored with it."""

from typing import Any

from taskworks.exceptions import InvalidTask

ANYBODY = ""  # who knows its id
LONGEST = 255


def owner_of(user: Any) -> str:
    """
    What a run keeps of its owner: the text of a user's primary key, or a text as it is; "" of an
    anonymous user. Raise InvalidTask for what has no primary key.
    """
    if not isinstance(user, str):
        if getattr(user, "is_anonymous", False):
            return ANYBODY
        pk = getattr(user, "pk", None)
        if pk is None:
            raise InvalidTask(
                f"owner must be a user with a primary key, or its text, not {user!r}."
            )
        user = str(pk)
    owner: str = user
    if len(user) > LONGEST or not user.isprintable():
        raise InvalidTask(
            f"owner must be {LONGEST} printable characters at the most, not {user[:50]!r}."
        )
    return owner
