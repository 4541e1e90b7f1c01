"""
What people type into the search of runs: ``state:failed task:shop.tasks.pay error~timeout``.

It is read as the texts of a filter, by the names of ``taskworks.filtering``.
"""

import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.utils.translation import gettext as _

MAX_LENGTH = 2000  # characters
MAX_WORDS = 50
MAX_SHOWN = 50  # characters of a word in an error

# A word, or a name, a sign and a word; a word in double quotes may have spaces.
TOKEN = re.compile(
    r"""(?:(?P<name>[a-z][a-z-]*)(?P<sign>:|~|>=|>|<|\.[^\s"=]*=))?"""
    r"""(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>(?!")\S*))(?=\s|$)"""
)
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
LOOKS_LIKE_A_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


class BadSearch(ValueError):  # noqa: N818 - an answer, not an error
    """What was typed cannot be read; the text is a sentence."""


def texts_of(typed: str) -> dict[str, list[str]]:
    """Return the texts of a filter by name; raise BadSearch."""
    if len(typed) > MAX_LENGTH:
        said = _("A search is at most %(most)s characters long, not %(given)s.")
        raise BadSearch(said % {"most": MAX_LENGTH, "given": len(typed)})
    texts: dict[str, list[str]] = {}
    rest, words = typed.strip(), 0
    while rest:
        found = TOKEN.match(rest)
        words += 1
        if found is None or not found.group() or _has_half_a_quotation(found):
            said = _("A quotation mark is missing in %(text)s.")
            raise BadSearch(said % {"text": repr(rest[:MAX_SHOWN])})
        if words > MAX_WORDS:
            raise BadSearch(_("A search has at most %(most)s words.") % {"most": MAX_WORDS})
        name, text = _condition(found)
        texts.setdefault(name, []).append(text)
        rest = rest[found.end() :].lstrip()
    return texts


def _has_half_a_quotation(found: "re.Match[str]") -> bool:
    return found["sign"] is None and '"' in (found["word"] or "")


def _condition(found: "re.Match[str]") -> tuple[str, str]:
    name, sign = found["name"], found["sign"]
    quoted = found["quoted"]
    word = found["word"] if quoted is None else ESCAPED.sub(r"\1", quoted)
    if not word and not (sign or "").startswith("."):
        # An address without the condition would mean more runs than were asked for.
        said = _("A value is missing in %(text)s.")
        raise BadSearch(said % {"text": repr(found.group()[:MAX_SHOWN])})
    match sign:
        case None:
            return _bare(word, is_quoted=quoted is not None)
        case ":":
            return name, word
        case "~":
            return name, word
        case ">" | ">=":
            return name, word
        case "<":
            return name, f"<{word}"
        case _:
            return name, f"{sign[1:]}{word}"  # .path=


def _bare(word: str, *, is_quoted: bool) -> tuple[str, str]:
    """Return what a word means that has no name: an id, a task, or else text in an error."""
    try:
        return "id", str(UUID(word))
    except ValueError:
        pass
    if not is_quoted and LOOKS_LIKE_A_PATH.fullmatch(word):
        return "task", word
    return "error", word


SIGNS = {"error": "~", "took": ">", "attempts": ">"}


def as_typed(texts: Mapping[str, Sequence[str]]) -> str:
    """Return the search of which ``texts_of`` makes these texts."""
    return " ".join(chip(name, text) for name, some in texts.items() for text in some)


def chip(name: str, text: str) -> str:
    """Return one condition as it is typed."""
    if name == "arg":
        path, sign, value = text.partition("=")
        return f"arg.{path}{sign}{_quoted(value)}"
    if name in ("took", "attempts") and text.startswith("<"):
        return f"{name}<{_quoted(text[1:].strip())}"
    return f"{name}{SIGNS.get(name, ':')}{_quoted(text)}"


def _quoted(text: str) -> str:
    if text and not re.search(r"""[\s"\\]""", text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
