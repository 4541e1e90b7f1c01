"""The steps of a workflow as a graph: an SVG that is drawn here, without scripts and styles."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from taskworks.actions.workflows_shown import StepShown

MAX_NODES = 200
WIDTH, HEIGHT = 168, 44  # of a node, in pixels
GAP_ACROSS, GAP_DOWN, MARGIN = 56, 16, 8
BAR = 4  # the height of a bar
MAX_LABEL = 21  # characters
SWEEPS = 4  # over the columns, to bring what is connected side by side


@dataclass(frozen=True)
class Node:
    """A step at its place: its column from the left, its row from the top."""

    step: StepShown
    column: int
    row: int

    @property
    def x(self) -> int:
        return MARGIN + self.column * (WIDTH + GAP_ACROSS)

    @property
    def y(self) -> int:
        return MARGIN + self.row * (HEIGHT + GAP_DOWN)


def graph(steps: Iterable[StepShown], addresses: Mapping[UUID, str]) -> SafeString:
    """
    Draw a workflow's own steps: what follows stands to the right of what it follows. A group or a
    workflow within it is one node, with a bar. ``addresses`` are those of the pages of the steps.
    """
    own = [step for step in steps if step.depth == 0]
    if len(own) > MAX_NODES:
        return format_html(
            "<p>The graph is not drawn, because the workflow has more than {} steps.</p>", MAX_NODES
        )
    nodes = placed(own)
    if not nodes:
        return SafeString()
    right = max(node.x for node in nodes.values()) + WIDTH + MARGIN
    bottom = max(node.y for node in nodes.values()) + HEIGHT + MARGIN
    return format_html(
        '<div class="taskworks-graph"><svg xmlns="http://www.w3.org/2000/svg" role="group" '
        'aria-label="Steps" width="{0}" height="{1}" viewBox="0 0 {0} {1}">{2}{3}</svg></div>',
        right,
        bottom,
        format_html_join("", '<path d="{}"/>', ((line,) for line in _lines(nodes))),
        format_html_join(
            "", "{}", ((_drawn(node, addresses.get(id_)),) for id_, node in nodes.items())
        ),
    )


# Where each node is.


def placed(steps: Sequence[StepShown]) -> dict[UUID, Node]:
    """Return a node for each step, in columns, with as few crossings as a few sweeps leave."""
    columns = _columns(steps)
    before = {
        step.id: [id_ for id_, _ in step.after if id_ in columns and id_ != step.id]
        for step in steps
    }
    after: dict[UUID, list[UUID]] = {step.id: [] for step in steps}
    for id_, ids in before.items():
        for one in ids:
            after[one].append(id_)
    rows: list[list[UUID]] = [[] for _ in range(max(columns.values(), default=-1) + 1)]
    for step in steps:
        rows[columns[step.id]].append(step.id)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        _sort(rows if forward else rows[::-1], before if forward else after)
    places = {id_: row for ids in rows for row, id_ in enumerate(ids)}
    return {step.id: Node(step, columns[step.id], places[step.id]) for step in steps}


def _columns(steps: Sequence[StepShown]) -> dict[UUID, int]:
    """
    Return the column of each step: one more than those of what it follows. Steps come in the order
    in which they were added, so each of these has been placed; others, and those that a row
    wrongly names, do not count.
    """
    columns: dict[UUID, int] = {}
    for step in steps:
        columns[step.id] = 1 + max(
            (columns[before] for before, _ in step.after if before in columns), default=-1
        )
    return columns


def _sort(columns: Sequence[list[UUID]], neighbors: Mapping[UUID, Sequence[UUID]]) -> None:
    """Sort each column by the mean row of what its steps are connected with, in the one before."""
    for column in columns:
        row_of = {id_: row for ids in columns for row, id_ in enumerate(ids)}
        column.sort(key=lambda id_: _mean([row_of[one] for one in neighbors[id_]], row_of[id_]))


def _mean(rows: Sequence[int], otherwise: float) -> float:
    return sum(rows) / len(rows) if rows else otherwise


# How it is drawn.


def _lines(nodes: Mapping[UUID, Node]) -> Iterable[str]:
    """Yield the path of a curve from each node to each one that follows it."""
    for node in nodes.values():
        for before, _ in node.step.after:
            if (source := nodes.get(before)) and source.column < node.column:
                x1, y1 = source.x + WIDTH, source.y + HEIGHT // 2
                x2, y2 = node.x, node.y + HEIGHT // 2
                middle = (x1 + x2) // 2
                yield f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"


def _drawn(node: Node, address: str | None) -> SafeString:
    step, x, y = node.step, node.x, node.y
    state = step.state or "deleted"
    progress = f", {step.progress.in_words}" if step.progress else ""
    words = f"{step.name}: {state}{progress}. {step.waits_for or ''}".strip()
    drawn = format_html(
        '<g class="taskworks-node taskworks-node-{}"><title>{}</title>'
        '<rect x="{}" y="{}" width="{}" height="{}" rx="4"/>'
        '<text x="{}" y="{}">{}</text>'
        '<text class="taskworks-node-state" x="{}" y="{}">{}</text>{}</g>',
        state,
        words,
        *(x, y, WIDTH, HEIGHT),
        *(x + 8, y + 18, _shortened(step.name)),
        *(x + 8, y + 33, f"{state}{progress}"),
        _bar(node),
    )
    return format_html('<a href="{}">{}</a>', address, drawn) if address else drawn


def _bar(node: Node) -> SafeString:
    """Return the bar of a group or workflow, as long as the part of its runs that has ended."""
    progress = node.step.progress
    if progress is None:
        return SafeString()
    return format_html(
        '<rect class="taskworks-bar" x="{}" y="{}" width="{}" height="{}"/>',
        node.x,
        node.y + HEIGHT - BAR,
        round(WIDTH * progress.percent / 100),
        BAR,
    )


def _shortened(name: str) -> str:
    return name if len(name) <= MAX_LABEL else f"{name[: MAX_LABEL - 1]}…"
