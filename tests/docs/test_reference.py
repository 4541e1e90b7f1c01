"""The reference mentions everything that there is."""

import argparse
import math
import re
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest
from django.core.management import load_command_class
from django.dispatch import Signal

import taskworks
from taskworks import control, exceptions, framework, schedules, signals
from taskworks.actions.run_actions import Verdict
from taskworks.backends.database import DatabaseBackend
from taskworks.conf import Conf
from taskworks.correlation import EXTRAS
from taskworks.framework import BaseTaskBackend
from taskworks.management import filter_options, several_databases
from taskworks.management.output import DETAILS, SUMMARY
from taskworks.management.schedules_command import KEYS
from taskworks.management.subcommands import SUBCOMMANDS
from taskworks.models import RunState, TaskRun, Worker
from taskworks.options.policy import Policy
from taskworks.problems import RULES
from taskworks.timetables.arguments import NAMES
from taskworks.workflows.growth import Membership
from tests.docs.pages import PAGES, ROOT, anchors, reference, relative_links

pytestmark = pytest.mark.any_database

SOURCE = ROOT / "src" / "taskworks"
# Keys of TASKS, which are not of TASKWORKS.
OF_TASKS = {
    "BACKEND",
    "QUEUES",
    "OPTIONS",
    "DATABASE",
    "TASK_DEFAULTS",
    "QUEUE_DEFAULTS",
    "RETENTION",
    "QUEUE_OBJECTIVES",
    "QUEUE_RETENTION",
}
# Its default depends on the machine.
NUMBER_OF_PROCESSORS = "--task-processes"
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


def flags(subcommand: str) -> list[argparse.Action]:
    """The options that a subcommand has, its positional arguments left out."""
    return [option for option in options(subcommand) if option.option_strings]


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
    if isinstance(field.default, str):
        assert f'| `"{field.default}"` |' in line
    elif isinstance(field.default, bool | tuple | None):
        assert f"| `{field.default}` |" in line
    else:
        assert f"| {field.default:,g} |" in line.replace("1,048,576 |", f"{2**20:,g} |")


def test_settings_has_no_key_that_there_is_not() -> None:
    keys = set(re.findall(r"^\| `([A-Z_]{6,})` \|", reference("settings"), re.MULTILINE))
    assert keys >= {field.name.upper() for field in fields(Conf)}
    assert keys - {field.name.upper() for field in fields(Conf)} <= OF_TASKS


def test_checks_has_every_id() -> None:
    source = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    used = set(re.findall(r"taskworks\.[EWI]\d{3}", source))
    shown = set(re.findall(r"taskworks\.[EWI]\d{3}", reference("checks")))
    assert used == shown


def test_problems_has_a_section_on_every_rule_and_no_other() -> None:
    headings = set(re.findall(r"^## ([a-z-]+)$", reference("problems"), re.MULTILINE))
    assert headings == {rule.id.replace("_", "-") for rule in RULES}


def about(subcommand: str) -> str:
    """A subcommand's own page, or its section of the page that the others share."""
    if subcommand in ("worker", "prune"):
        return reference(subcommand)
    return section(reference("command-line"), subcommand)


def section(page: str, name: str) -> str:
    parts = re.split(r"^## ", page, flags=re.MULTILINE)
    [found] = [part for part in parts if part.startswith((f"`{name}`\n", f"{name}\n"))]
    return found


OF_ADMIN = {Verdict.RETRIED, Verdict.CANCELLED, Verdict.ASKED_TO_STOP, Verdict.NOT_APPLICABLE}
FILTER = {f"--{name}" for name in filter_options.HELP}


def own_flags(subcommand: str) -> list[argparse.Action]:
    """The options of a subcommand without those that have a section for all: of a filter, too."""
    is_filtered = {"--since", "--arg"} <= {o.option_strings[0] for o in flags(subcommand)}
    shared = FILTER if is_filtered else set()
    if subcommand not in several_databases.BY_THEMSELVES:
        shared = {*shared, several_databases.OPTION}
    return [option for option in flags(subcommand) if option.option_strings[0] not in shared]


def test_every_option_of_a_filter_is_in_its_section() -> None:
    shown = re.findall(
        r"^\| (`--.*?) \|", section(reference("command-line"), "Filters"), re.MULTILINE
    )
    names = [name for line in shown for name in re.findall(r"--[\w-]+", line)]
    assert names == [f"--{name}" for name in filter_options.HELP]


def test_the_option_that_names_a_database_is_in_its_section() -> None:
    assert mentions(section(reference("command-line"), "Several databases"), "--database")


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_every_option_of_a_command_has_a_row_with_its_default(subcommand: str) -> None:
    page = about(subcommand)
    for option in own_flags(subcommand):
        line = row(page, option.option_strings[0])
        for name in option.option_strings:
            assert mentions(line, name), name
        if option.option_strings[0] == NUMBER_OF_PROCESSORS:
            assert "| the number of processors |" in line
        elif isinstance(option.default, int | float) and not isinstance(option.default, bool):
            assert f"| {option.default:g} |" in line


def test_no_option_is_documented_that_there_is_not() -> None:
    for subcommand in SUBCOMMANDS:
        shown = re.findall(r"^\| `(--[\w-]+)", about(subcommand), re.MULTILINE)
        assert shown == [option.option_strings[0] for option in own_flags(subcommand)]


def test_the_command_line_has_every_subcommand() -> None:
    page = reference("command-line")
    for subcommand in SUBCOMMANDS:
        assert mentions(page, subcommand)
        assert about(subcommand)


def test_every_key_of_json_is_mentioned() -> None:
    page = reference("command-line")
    details = DETAILS[len(SUMMARY) :]
    for subcommand, keys in (("list", SUMMARY), ("show", details), ("schedules", KEYS)):
        for key in keys:
            assert mentions(section(page, subcommand), key), key
    for verdict in Verdict:
        assert mentions(page, verdict)
        if verdict in OF_ADMIN:
            assert mentions(reference("admin"), verdict)


def test_signals_has_every_signal() -> None:
    names = [name for name in signals.__all__ if isinstance(getattr(signals, name), Signal)]
    assert len(names) >= 3
    for name in names:
        row(reference("signals"), name)


def test_signals_has_every_extra_of_the_log() -> None:
    source = (SOURCE / "recording" / "subscribers.py").read_text()
    extras = [*EXTRAS, *re.findall(r'^ {8}"(task_\w+)": ', source, re.MULTILINE)]
    assert len(extras) >= 7
    for extra in extras:
        row(reference("signals"), extra)


@pytest.mark.parametrize("option", fields(taskworks.Task), ids=lambda option: option.name)
def test_tasks_has_every_option_with_its_default(option: Field[Any]) -> None:
    page = reference("tasks")
    if option.name in ("func", "run_after"):
        assert mentions(page, option.name)
    else:
        line = row(page, option.name)
        default = getattr(Policy(), option.name, None)
        if type(default) is int:
            assert f"| {default} |" in line
        elif default == math.inf:
            assert "| no limit |" in line


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("tasks", taskworks.Task),
        ("results", taskworks.TaskResult),
        ("results", taskworks.TaskMessage),
        ("context", taskworks.TaskContext),
        ("retry", taskworks.Backoff),
        ("backends", DatabaseBackend),
        ("workflows", taskworks.Workflow),
        ("workflows", taskworks.WorkflowResult),
        ("workflows", taskworks.Batch),
        ("workflows", Membership),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_public_attribute_is_mentioned(page: str, kind: type) -> None:
    own = kind is DatabaseBackend
    for name in set(dir(kind)) - set(dir(BaseTaskBackend) if own else ()):
        if not name.startswith("_") and name not in {"supports_relative_run_after"}:
            assert mentions(reference(page), name), name


@pytest.mark.parametrize("field", fields(taskworks.Backoff), ids=lambda field: field.name)
def test_retry_has_every_field_with_its_default(field: Field[Any]) -> None:
    assert f"| {field.default:g} |" in row(reference("retry"), field.name)


@pytest.mark.parametrize("name", taskworks.__all__)
def test_every_public_name_is_mentioned(name: str) -> None:
    pages = ("tasks", "results", "context", "backends", "workflows")
    assert any(mentions(reference(page), name) for page in pages)


@pytest.mark.parametrize("name", control.__all__)
def test_every_name_of_control_is_mentioned(name: str) -> None:
    assert mentions(reference("control"), name)


@pytest.mark.parametrize("name", schedules.__all__)
def test_every_name_of_schedules_is_mentioned(name: str) -> None:
    assert mentions(reference("schedules"), name)


@pytest.mark.parametrize("name", [*NAMES])
def test_every_argument_of_a_declaration_is_mentioned(name: str) -> None:
    assert mentions(reference("schedules").partition("## In code")[2], name)


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
    for result_field in fields(taskworks.TaskResult):
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
