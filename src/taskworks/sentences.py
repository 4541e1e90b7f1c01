"""Sentences that commands and alarms say in English, and pages in the language of their reader."""

from datetime import datetime, timedelta
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext, gettext_noop

from taskworks.durations import in_words, localized


class Sentence(str):
    """A text in English, which can also be said in the language that is active."""

    _text: str
    _values: dict[str, Any]

    def translated(self) -> str:
        """Return it in that language, or in English if nobody has translated it."""
        text = gettext(self._text)
        return text % {name: _said(value) for name, value in self._values.items()}


def sentence(text: str, **values: Any) -> Sentence:
    """
    Return a sentence, of a text that is marked by ``gettext_noop`` and names its values as
    "%(name)s". A value may be a number, a timedelta, or a sentence itself.
    """
    made = Sentence(text % {name: _in_english(value) for name, value in values.items()})
    made._text, made._values = text, values
    return made


def counted(number: int, one: str, more: str, **values: Any) -> Sentence:
    """Return the sentence for one of something, or for any other number: "%(number)s"."""
    return sentence(one if number == 1 else more, number=number, **values)


def joined(*parts: str | None, by: str = " ") -> Sentence:
    """Return the parts that are not empty, nor None, as one."""
    values = {f"part{place}": part for place, part in enumerate(filter(None, parts))}
    return sentence(by.replace("%", "%%").join(f"%({name})s" for name in values), **values)


def moment_in_words(moment: datetime | None) -> str:
    """Return such as "2026-03-02 07:00:00 UTC", without a zone if the moment has none."""
    if moment is None:  # somebody has written nonsense into the row
        return sentence(gettext_noop("an unknown time"))
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}".rstrip()


def translated(text: str) -> str:
    """Return a sentence in the language that is active, and any other text as it is."""
    return text.translated() if isinstance(text, Sentence) else text


def _in_english(value: Any) -> str:
    if type(value) is int:
        return f"{value:,}"
    return in_words(value) if isinstance(value, timedelta) else str(value)


def _said(value: Any) -> str:
    if isinstance(value, Sentence):
        return value.translated()
    if type(value) is int:
        return number_format(value, force_grouping=True)
    return localized(value) if isinstance(value, timedelta) else str(value)
