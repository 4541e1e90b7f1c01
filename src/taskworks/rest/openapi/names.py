"""The names of our components and operations: a project's own are not like them."""

import re
from collections.abc import Iterable

PREFIX = "Taskworks"


def component_name(words: str) -> str:
    """Return the name of a component of ours."""
    return f"{PREFIX}{words}"


def reference(name: str) -> dict[str, str]:
    """Return a schema that refers to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def in_pascal_case(text: str) -> str:
    """Return the words of a text as a part of the name of a class."""
    words = re.split(r"[^A-Za-z0-9]+", text)
    return "".join(word[:1].upper() + word[1:] for word in words)


class Names:
    """
    Names that are taken.

    Two that differ only in case are one: client generators make names of files from them.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.lower() for name in taken}

    def take(self, title: str, *forms: str) -> str:
        """
        Take the names that are formed from a title, such as ``{}Inputs``, and return the title;
        with a number, if one of its names is taken.
        """
        number, unused = 2, title
        while any(form.format(unused).lower() in self._taken for form in forms):
            unused, number = f"{title}{number}", number + 1
        self._taken |= {form.format(unused).lower() for form in forms}
        return unused
