"""The pages of the documentation, their blocks and their links."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SNIPPETS = DOCS / "snippets"
PAGES = sorted(
    page
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
    if page.exists()
)
PYTHON = {"python", "python3", "py", "pycon"}
Test = TypeVar("Test", bound=Callable[..., Any])
executed: set[str] = set()

_BLOCK = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_MARKER = re.compile(r"<!-- snippet: (\S+) -->\n\Z")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block; ``snippet`` is the file that the line before it names."""

    page: Path
    line: int
    language: str
    text: str
    snippet: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        marker = _MARKER.search(text, 0, match.start())
        yield Block(
            page=page,
            line=text.count("\n", 0, match.start()) + 1,
            language=match["language"],
            text=match["text"],
            snippet=marker[1] if marker else None,
        )


def python_blocks() -> list[Block]:
    """Every block of Python, and every block that is marked as a snippet."""
    return [
        block
        for page in PAGES
        for block in blocks(page)
        if block.language in PYTHON or block.snippet
    ]


def snippet_files() -> set[str]:
    """The files that a page's blocks are copies of."""
    return {
        str(path.relative_to(SNIPPETS))
        for path in SNIPPETS.rglob("*.py")
        if path.name != "__init__.py"
    }


def executes(*snippets: str) -> Callable[[Test], Test]:
    """Say which files a test executes."""
    executed.update(snippets)
    return lambda test: test


def relative_links(page: Path) -> list[str]:
    """What a page's links and pictures point to inside this repository."""
    prose = _BLOCK.sub("", page.read_text())
    return [link for link in _LINK.findall(prose) if "://" not in link and "mailto:" not in link]


def headings(page: Path) -> list[str]:
    """The text of a page's headings, from top to bottom."""
    return _HEADING.findall(_BLOCK.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """The names of a page's headings in links of Markdown."""
    slugs = [
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in headings(page)
    ]
    before = [slugs[:i].count(slug) for i, slug in enumerate(slugs)]
    return {f"{slug}-{n}" if n else slug for slug, n in zip(slugs, before, strict=True)}


def site_anchors(page: Path) -> set[str]:
    """The names of a page's headings in addresses of the site."""
    return {re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") for heading in headings(page)}


def reference(name: str) -> str:
    """The text of a page of the reference."""
    return (DOCS / "reference" / f"{name}.md").read_text()
