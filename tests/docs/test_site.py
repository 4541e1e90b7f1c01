"""The site has what README.md, the package and messages refer to, and every public name."""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from django.dispatch import Signal

from taskworks.documentation import SITE, page
from tests.docs.pages import DOCS, ROOT, reference, relative_links, site_anchors

pytestmark = pytest.mark.any_database

BUILT = DOCS / "_build" / "html"
MODULES = (
    "taskworks",
    "taskworks.celery",
    "taskworks.control",
    "taskworks.endpoints",
    "taskworks.exceptions",
    "taskworks.instruments",
    "taskworks.models",
    "taskworks.moving",
    "taskworks.opentelemetry",
    "taskworks.prometheus",
    "taskworks.retry",
    "taskworks.schedules",
    "taskworks.sentry",
    "taskworks.signals",
    "taskworks.testing",
    "taskworks.typed",
    "taskworks.typed.params",
    "taskworks.workflows",
)


def public_names(module: str) -> set[str]:
    """What a module exports; of signals, what is not for Taskworks' own use."""
    if module == "taskworks.retry":
        return {"Backoff", "Retry", "Snooze"}
    imported = import_module(module)
    names = set(imported.__all__)
    if module == "taskworks.signals":
        names = {name for name in names if isinstance(getattr(imported, name), Signal)}
    return names


def names_by_module() -> dict[str, dict[str, str]]:
    """The names of reference/names.md, with the links to their sections."""
    sections = re.split(r"^## ", reference("names"), flags=re.MULTILINE)[1:]
    return {
        section.partition("\n")[0].strip("`"): dict(re.findall(r"\[`(\w+)`\]\(([^)]+)\)", section))
        for section in sections
    }


def addresses_in_messages() -> set[str]:
    """The addresses that the source makes for its messages."""
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    calls = re.findall(r"""\bpage\(["']([^"']+)["'](?:, ["']([^"']+)["'])?\)""", source)
    return {page(path, anchor) for path, anchor in calls}


def addresses_in(file: str) -> set[str]:
    """The addresses of the site in a file."""
    return set(re.findall(rf"{re.escape(SITE)}[^)\"'\s>]*", (ROOT / file).read_text()))


def source_of(address: str) -> Path:
    """The page or picture of which the site's file is made."""
    path = address.removeprefix(SITE).partition("#")[0] or "index.html"
    if path.startswith("_static/"):
        return DOCS / "pictures" / path.removeprefix("_static/")
    return DOCS / Path(path).with_suffix(".md")


@pytest.mark.parametrize(
    "address",
    sorted(
        addresses_in_messages()
        | addresses_in("README.md")
        | addresses_in("CHANGELOG.md")
        | addresses_in("CONTRIBUTING.md")
        | addresses_in("pyproject.toml")
    ),
)
def test_every_address_of_the_site_leads_somewhere(address: str) -> None:
    source = source_of(address)
    assert source.is_file()
    _, _, anchor = address.partition("#")
    if anchor:
        assert anchor in site_anchors(source)


def test_messages_refer_to_the_site_and_not_to_files() -> None:
    assert len(addresses_in_messages()) >= 8
    for path in (ROOT / "src").rglob("*.py"):
        assert not re.search(r"docs/[\w/-]+\.md", path.read_text()), path


def test_the_readme_works_where_there_are_no_files_beside_it() -> None:
    assert relative_links(ROOT / "README.md") == []
    assert len(addresses_in("README.md")) >= 5


def test_the_package_names_the_site() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert SITE.startswith(urls["Documentation"])


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_list_of_names(module: str) -> None:
    assert set(names_by_module()[module]) == public_names(module)


def test_names_lead_to_pages_that_mention_them() -> None:
    assert tuple(sorted(names_by_module())) == MODULES
    for names in names_by_module().values():
        for name, link in names.items():
            linked = reference(link.partition(".")[0])
            assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", linked), (name, link)


@pytest.fixture
def index() -> str:
    """The index that Sphinx has built of the pages as they are."""
    path = BUILT / "genindex.html"
    newest = max(page.stat().st_mtime for page in DOCS.rglob("*.md"))
    if not path.exists() or path.stat().st_mtime < newest:
        pytest.skip("make docs has not built these pages")
    return path.read_text()


@pytest.mark.parametrize("module", MODULES)
def test_the_index_leads_to_every_public_name(index: str, module: str) -> None:
    entries = entries_of(index)
    for name in public_names(module):
        path, _, anchor = entries[f"{name} ({module})"].partition("#")
        assert f'id="{anchor}"' in (BUILT / path).read_text()


def entries_of(index: str) -> dict[str, str]:
    """The entries of the index, and what each leads to."""
    entries, name = {}, ""
    for link, text in re.findall(r'<a href="([^"]+)">([^<]+)</a>', index):
        is_below = text.startswith("(")  # `Schedule (taskworks.models)`, `(taskworks.schedules)`
        name = name if is_below else text.partition(" (")[0]
        entries[f"{name} {text}" if is_below else text] = link
    return entries
