"""The drain of one worker as an SVG bar chart with one panel per kind of database."""

from xml.sax.saxutils import escape

from benchmarks.contenders import GROUPS
from benchmarks.figures import Figures, Key
from benchmarks.tables import GROUP_NAMES, named, number

WIDTH, LABELS, VALUES = 820, 190, 90
BAR, GAP, HEAD = 18, 8, 44
OURS, BARE, THEIRS = "#0c7c59", "#b8b8b8", "#6b8fb5"


def draw(figures: Figures) -> str:
    """Return the SVG."""
    shapes, y = [], 8
    for group in GROUPS:
        rates = _rates(figures, group)
        if rates:
            shapes.append(_panel(group, rates, y))
            y += HEAD + len(rates) * (BAR + GAP)
    style = "font: 13px system-ui, sans-serif"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 8}" '
        f'width="{WIDTH}" style="{style}" role="img">\n'
        "<title>Tasks per second that one worker executes</title>\n"
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{"".join(shapes)}</svg>\n'
    )


def _rates(figures: Figures, group: str) -> list[tuple[Key, float]]:
    keys = [
        key
        for key in figures.values
        if (key.part, key.measure) == ("drain", "1 worker") and key.store in GROUPS[group]
    ]
    rates = [(key, figures.median(key) or 0) for key in keys]
    return sorted(rates, key=lambda pair: -pair[1])


def _panel(group: str, rates: list[tuple[Key, float]], top: int) -> str:
    most = rates[0][1]
    title = f"{GROUP_NAMES[group]}: tasks per second, one worker"
    lines = [f'<text x="8" y="{top + 22}" font-weight="600">{escape(title)}</text>\n']
    for place, (key, rate) in enumerate(rates):
        y = top + HEAD - 10 + place * (BAR + GAP)
        width = max(1, (WIDTH - LABELS - VALUES) * rate / most)
        name = escape(named(key.system, key.store))
        lines += [
            f'<text x="{LABELS - 8}" y="{y + 13}" text-anchor="end">{name}</text>\n',
            f'<rect x="{LABELS}" y="{y}" width="{width:.0f}" height="{BAR}" '
            f'fill="{_color(key.system)}"/>\n',
            f'<text x="{LABELS + width + 6:.0f}" y="{y + 13}">{number(rate)}</text>\n',
        ]
    return "".join(lines)


def _color(system: str) -> str:
    if system.startswith("bare"):
        return BARE
    return OURS if system.startswith("taskworks") else THEIRS
