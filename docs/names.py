"""
A Sphinx extension that fills the index, so that authors write no entries for it.

The tables of reference/names.md link each public name to its section. On the other pages of the
reference, a name is code in a heading, or code that begins a row of a table.
"""

from collections.abc import Iterator

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

FOLDER = "reference/"
PUBLIC = FOLDER + "names"
Place = tuple[str, str, str]  # a page, the id of one of its sections, a name


class AnchorsOfRows(SphinxTransform):
    """Make rows of the reference's tables targets of links, such as `checks-taskworks-e001`."""

    default_priority = 800

    def apply(self) -> None:
        if self.env.docname.startswith(FOLDER):
            for row in filter(names, self.document.findall(nodes.row)):
                anchor = nodes.make_id(f"{section_of(row)['ids'][0]}-{names(row)[0]}")
                if anchor not in self.document.ids:
                    self.document.ids[anchor] = row
                    row["ids"].append(anchor)


def fill_index(app: Sphinx, env: BuildEnvironment) -> None:
    """Enter public names with their modules, and other names with what they belong to."""
    if app.builder.format != "html":
        return
    index = env.get_domain("index").entries
    described: dict[Place, tuple[str, str]] = {}
    for page in sorted(env.found_docs):
        if page.startswith(FOLDER) and page != PUBLIC:
            for place, anchor, owner in described_names(env, page):
                described.setdefault(place, (anchor, owner))
    public = list(public_names(app, env))
    entries = [(place, described.get(place, (place[1], ""))[0], module) for module, place in public]
    for _, place in public:
        described.pop(place, None)
    entries += [(place, anchor, owner) for place, (anchor, owner) in described.items()]
    for (page, _, name), anchor, owner in entries:
        entry = f"{name} ({owner})" if owner != name else name
        index[page].append(("single", entry, anchor, "", None))


def make_names_searchable(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Let the search, which reads pages and not the index, show the sections of a name first."""
    if page.startswith(FOLDER):
        found = [
            ("single", entry.partition(" (")[0], anchor, "main", None)
            for _, entry, anchor, _, _ in app.env.get_domain("index").entries[page]
        ]
        doctree.append(addnodes.index(entries=found))


def described_names(env: BuildEnvironment, page: str) -> Iterator[tuple[Place, str, str]]:
    """Yield the names of a page, where they are, and the name or page that they belong to."""
    for node in env.get_doctree(page).findall(lambda node: bool(names(node))):
        section = section_of(node)
        owner = ", ".join(names(section[0])) if isinstance(node, nodes.row) else ""
        anchor = (node["ids"] or section["ids"])[0]
        for name in names(node):
            yield (page, section["ids"][0], name), anchor, owner or env.titles[page].astext()


def public_names(app: Sphinx, env: BuildEnvironment) -> Iterator[tuple[str, Place]]:
    """Yield the names of reference/names.md: the module, and the place that it links to."""
    pages = {app.builder.get_relative_uri(PUBLIC, page): page for page in env.found_docs}
    doctree = env.get_and_resolve_doctree(PUBLIC, app.builder, tags=app.tags)
    for link in doctree.findall(nodes.reference):
        address, _, anchor = link["refuri"].partition("#")
        page = pages[address]
        section = anchor or env.get_doctree(page).next_node(nodes.section)["ids"][0]
        yield section_of(link)[0].astext(), (page, section, link.astext())


def names(node: nodes.Node) -> list[str]:
    """Return the names that a heading or a row describes: `cancel` for `cancel()`."""
    text = node if isinstance(node, nodes.title) else None
    if isinstance(node, nodes.row) and isinstance(node.parent, nodes.tbody):
        cell = node.next_node(nodes.paragraph)
        text = cell if cell and isinstance(cell[0], nodes.literal) else None
    literals = text.findall(nodes.literal) if text else ()
    return [literal.astext().partition("(")[0].strip("@<> ") for literal in literals]


def section_of(node: nodes.Node) -> nodes.section:
    """Return the section that a node is in."""
    while not isinstance(node := node.parent, nodes.section):
        pass
    return node


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the extension; called by Sphinx."""
    app.add_transform(AnchorsOfRows)
    app.connect("env-check-consistency", fill_index)
    app.connect("doctree-resolved", make_names_searchable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
