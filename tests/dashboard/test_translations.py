"""The German texts are complete, and what is read of them is what is written."""

import ast
import gettext
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import translation
from django.utils.translation.template import templatize

import taskworks
from taskworks import control
from taskworks.dashboard.tags import duration
from taskworks.models import RunState, TaskRun
from tests.dashboard.conftest import place
from tests.faces.conftest import MakeRun

pytestmark = pytest.mark.any_database

SOURCES = Path(taskworks.__file__).parent
CATALOG = SOURCES / "locale" / "de" / "LC_MESSAGES" / "django.po"
FUNCTIONS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext"}
IN_TEMPLATES = re.compile(r"\b(?:_|gettext|ngettext)\(u?(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')")
ENTRY = re.compile(
    r'^msgid ((?:".*"\n)+)(?:msgid_plural ((?:".*"\n)+))?((?:msgstr(?:\[\d\])? (?:".*"\n?)+)+)',
    re.MULTILINE,
)
PLACEHOLDER = re.compile(r"%\(\w+\)s")


def written() -> dict[str, list[str]]:
    """Return the translations in the catalog, by the text that they translate."""
    entries: dict[str, list[str]] = {}
    for text, _, translated in ENTRY.findall(CATALOG.read_text()):
        parts = re.split(r"^msgstr(?:\[\d\])? ", translated, flags=re.MULTILINE)[1:]
        entries[_joined(text)] = [_joined(part) for part in parts]
    return entries


def _joined(lines: str) -> str:
    return "".join(ast.literal_eval(line) for line in lines.strip().splitlines())


def marked() -> Iterator[str]:
    """Yield what is marked for translation in code and templates."""
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _name(node.func) in FUNCTIONS and node.args:
                given = node.args[0]
                if isinstance(given, ast.Constant) and isinstance(given.value, str):
                    yield given.value
    for path in SOURCES.rglob("*.html"):
        for text in IN_TEMPLATES.findall(templatize(path.read_text())):
            yield ast.literal_eval(text)


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else ""


def test_every_text_is_translated() -> None:
    translations = written()
    missing = {text for text in marked() if not all(translations.get(text, [""]))}
    assert not missing, "run makemessages -l de in src/taskworks, and translate what is new"


def test_translations_name_the_same_values() -> None:
    for text, translations in written().items():
        if text and len(translations) == 1:
            values = [{*PLACEHOLDER.findall(one)} for one in (text, translations[0])]
            assert values[0] == values[1], (text, translations)
    assert "fuzzy" not in CATALOG.read_text()


def test_the_compiled_catalog_is_that_of_the_texts() -> None:
    with CATALOG.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for text, translations in written().items():
        if text and len(translations) == 1:
            assert compiled.gettext(text) == translations[0], "run compilemessages -l de"


@pytest.mark.django_db
def test_pages_speak_german(root: Client) -> None:
    with translation.override("de"):
        text = root.get(place("queues")).content.decode()
    assert '<html lang="de"' in text
    assert "<h1>Warteschlangen</h1>" in text
    assert "Warteschlange anhalten" in text
    assert "Pause the queue" not in text


@pytest.mark.parametrize(
    ("seconds", "english", "german"),
    [(0.0035, "3.5 ms", "3,5 ms"), (9, "9.0 s", "9,0 s"), (41.53, "41.5 s", "41,5 s")],
)
def test_durations_have_the_decimal_sign_of_the_language(
    seconds: float, english: str, german: str
) -> None:
    assert duration(seconds) == duration(timedelta(seconds=seconds)) == english
    with translation.override("de"):
        assert duration(seconds) == german


@pytest.mark.django_db
def test_sentences_of_commands_are_german_on_pages(root: Client, make_run: MakeRun) -> None:
    run = make_run(queue_name="imports")
    TaskRun.objects.filter(id=run.id).update(available_at="2026-01-01T00:00Z")
    control.pause("mail", reason="of a test", by="anna")
    with translation.override("de"):
        overview = root.get(place("overview")).content.decode()
        waiting = root.get(place("run", run.id)).content.decode()
    assert "Kein lebender Worker nimmt die Warteschlange" in overview
    assert "Starten Sie einen Worker: manage.py taskworks worker --queues imports" in overview
    assert "angehalten von anna: of a test." in overview
    assert "No living worker" not in overview
    assert "Kein Worker läuft." in waiting
    assert RunState(run.state) == RunState.READY
    text = root.get(place("overview")).content.decode()  # of the same findings, in English
    assert "No living worker takes the queue" in text
