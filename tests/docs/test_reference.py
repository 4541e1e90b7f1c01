"""The reference mentions everything that there is."""

import argparse
import re
from dataclasses import fields
from pathlib import Path

import pytest
from django.core.management import load_command_class
from django.dispatch import Signal

import taskworks
from taskworks import exceptions, framework, signals
from taskworks.conf import Conf
from taskworks.models import RunState, TaskRun, Worker
from tests.docs.pages import PAGES, ROOT, anchors, reference, relative_links

pytestmark = pytest.mark.any_database

SOURCE = ROOT / "src" / "taskworks"
# Django's own options of any command.
DJANGOS = {
    "--help",
    "--version",
    "--verbosity",
    "--settings",
    "--pythonpath",
    "--traceback",
    "--no-color",
    "--skip-checks",
    "--force-color",
}


def mentions(page: str, name: str) -> bool:
    """Whether the page has the name as code, at a word's borders."""
    return re.search(rf"`[^`\n]*(?<![\w-]){re.escape(name)}(?![\w-])[^`\n]*`", page) is not None


def row(page: str, name: str) -> str:
    """The line of a table that begins with the name."""
    found = [line for line in page.splitlines() if line.startswith(f"| `{name}`")]
    assert len(found) == 1, f"{len(found)} rows begin with {name}"
    return found[0]


def options(subcommand: str) -> list[argparse.Action]:
    parser = load_command_class("taskworks", "taskworks").create_parser("manage.py", "taskworks")
    [subparsers] = [action for action in parser._actions if action.dest == "subcommand"]
    return [
        action
        for action in subparsers.choices[subcommand]._actions
        if not DJANGOS & set(action.option_strings)
    ]


@pytest.mark.parametrize("field", fields(Conf), ids=lambda field: field.name)
def test_settings_has_every_key_with_its_default(field: object) -> None:
    line = row(reference("settings"), field.name.upper())
    assert f"| {field.default:,g} |" in line.replace("1,048,576 |", f"{2**20:,g} |")


def test_settings_has_no_key_that_there_is_not() -> None:
    keys = set(re.findall(r"^\| `([A-Z_]{8,})` \|", reference("settings"), re.MULTILINE))
    assert keys >= {field.name.upper() for field in fields(Conf)}
    assert keys - {field.name.upper() for field in fields(Conf)} <= {"BACKEND", "QUEUES", "OPTIONS"}


def test_checks_has_every_id() -> None:
    source = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    used = set(re.findall(r"taskworks\.[EWI]\d{3}", source))
    shown = set(re.findall(r"taskworks\.[EWI]\d{3}", reference("checks")))
    assert used == shown


@pytest.mark.parametrize("subcommand", ["worker", "prune"])
def test_every_option_of_a_command_has_a_row_with_its_default(subcommand: str) -> None:
    page = reference(subcommand)
    for option in options(subcommand):
        line = row(page, option.option_strings[0])
        for name in option.option_strings:
            assert mentions(line, name), name
        if isinstance(option.default, int | float) and not isinstance(option.default, bool):
            assert f"| {option.default:g} |" in line


def test_no_option_is_documented_that_there_is_not() -> None:
    for subcommand in ("worker", "prune"):
        shown = re.findall(r"^\| `(--[\w-]+)", reference(subcommand), re.MULTILINE)
        assert shown == [option.option_strings[0] for option in options(subcommand)]


def test_signals_has_every_signal() -> None:
    names = [name for name in signals.__all__ if isinstance(getattr(signals, name), Signal)]
    assert len(names) >= 3
    for name in names:
        row(reference("signals"), name)


@pytest.mark.parametrize("name", taskworks.__all__)
def test_every_public_name_is_mentioned(name: str) -> None:
    assert any(mentions(reference(page), name) for page in ("tasks", "results", "backends"))


@pytest.mark.parametrize("name", exceptions.__all__)
def test_every_exception_is_mentioned(name: str) -> None:
    assert mentions(reference("exceptions"), name)


@pytest.mark.parametrize("model", [TaskRun, Worker])
def test_every_column_has_a_row(model: type) -> None:
    section = re.split(r"^## ", reference("record"), flags=re.MULTILINE)
    [page] = [part for part in section if part.startswith(f"`{model.__name__}`")]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)[: len(model._meta.fields)] == [
        field.name for field in model._meta.fields
    ]


def test_every_state_and_status_is_mentioned() -> None:
    for state in RunState:
        assert mentions(reference("record"), state.value)
    for result_field in fields(framework.TaskResult):
        if not result_field.name.startswith("_"):
            assert mentions(reference("results"), result_field.name)
    for status in framework.TaskResultStatus:
        assert mentions(reference("results"), status.value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in relative_links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link
