"""How figures are stored, and shown in tables and in the chart."""

from pathlib import Path

import pytest

from benchmarks import chart, page, targets
from benchmarks.figures import Figures, Gap, Key
from benchmarks.measures import growth
from benchmarks.tables import tables

pytestmark = pytest.mark.any_database


@pytest.fixture
def figures() -> Figures:
    """Return figures of two systems in three rounds."""
    figures = Figures(facts={"rounds": 3}, gaps=[Gap("drain", "huey", "redis", "no server")])
    for system, values in {
        "taskworks": (9000, 8000, 10000),
        "django-tasks-db": (200, 300, 150),
    }.items():
        for value in values:
            figures.add(Key("drain", "1 worker", system, "postgresql"), value)
    return figures


def test_a_table_has_medians_spreads_and_ratios(figures: Figures) -> None:
    [table] = tables(figures, "drain")
    assert table.rows[1:] == [
        ["taskworks", "9,000 (8,000 to 10,000)", ""],
        ["django-tasks-db", "200 (150 to 300)", "45 x"],
    ]


def test_targets_are_compared_with_what_was_measured(figures: Figures) -> None:
    table = targets.table(figures)
    assert table is not None
    assert [row[1:] for row in table.rows[1:]] == [["at least 25", "", "45 (27 to 67)", "reached"]]


def test_figures_are_saved_and_loaded(figures: Figures, tmp_path: Path) -> None:
    figures.save(tmp_path / "figures.json")
    assert Figures.load(tmp_path / "figures.json") == figures


def test_the_chart_has_one_bar_per_system(figures: Figures) -> None:
    assert chart.draw(figures).count("<rect") == 3  # and the background


def test_the_page_says_why_there_is_no_figure(figures: Figures) -> None:
    about = {
        "versions": "huey 3",
        "setting": "one thread",
        "differs": "",
        "lacks": {"async": "No."},
    }
    figures.facts["systems"] = {"huey redis": about}
    text = page.systems(figures)
    assert "| huey (Redis) | huey 3 | one thread |  |" in text
    assert "- huey (Redis), async: No." in text


def test_what_is_lost_is_a_share_of_the_speed_in_an_empty_table() -> None:
    assert growth.lost(alone=8000, grown=6000) == 25
    assert growth.lost(alone=6000, grown=6600) == pytest.approx(-10)
