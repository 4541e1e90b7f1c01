"""Sentences are English for commands, and in the language of their reader on pages."""

import json
from datetime import UTC, datetime, timedelta

from django.utils import translation
from django.utils.translation import gettext_noop as _

from taskworks.sentences import Sentence, counted, joined, moment_in_words, sentence, translated


def runs(number: int) -> Sentence:
    return counted(number, _("%(number)s run"), _("%(number)s runs"))


def test_a_sentence_is_an_english_text() -> None:
    with translation.override("de"):
        made = sentence("%(runs)s, %(share)s", runs=runs(12_345), share="7%")
        assert made == "12,345 runs, 7%"
        assert json.dumps({"said": made}) == '{"said": "12,345 runs, 7%"}'
        assert runs(1) == "1 run"


def test_it_is_said_in_the_language_that_is_active_then() -> None:
    made = joined(runs(12_345), "", "%", sentence(_("steady")), by=" / ")
    assert made == "12,345 runs / % / steady"
    with translation.override("de"):
        assert translated(made) == "12.345 Läufe / % / gleichbleibend"
    assert translated(made) == made
    assert translated("as it is") == "as it is"


def test_durations_are_in_words() -> None:
    assert sentence("after %(time)s", time=timedelta(minutes=3)) == "after 3 min 0 s"
    made = sentence("%(time)s", time=timedelta(seconds=41.5))
    with translation.override("de"):
        assert (made, translated(made)) == ("41.5 s", "41,5 s")


def test_moments_have_their_zone_if_they_have_one() -> None:
    at = datetime(2026, 3, 2, 7, 0, 5)
    assert moment_in_words(at) == "2026-03-02 07:00:05"
    assert moment_in_words(at.replace(tzinfo=UTC)) == "2026-03-02 07:00:05 UTC"
    with translation.override("de"):
        assert translated(moment_in_words(None)) == "unbekannter Zeit"
