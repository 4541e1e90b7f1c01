"""The versions that pip may install, and what the documentation says of them."""

import re
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCUMENTED = (ROOT / "docs/explanation/dependencies.md").read_text()

# The lowest that work: cronsim 2.6 refuses every expression, psycopg 3.2.0 has no binary package.
LOWEST = {"cronsim": "2.7", "psycopg": "3.2.1"}


@pytest.mark.parametrize(("name", "version"), LOWEST.items())
def test_the_lowest_version_works_and_is_the_documented_one(name: str, version: str) -> None:
    extras = PROJECT["optional-dependencies"].values()
    required = [*PROJECT["dependencies"], *(each for extra in extras for each in extra)]
    found = [each for each in required if re.match(rf"{name}\b", each)]
    assert found
    assert all(each.endswith(f">={version}") for each in found)
    assert f"| {name} {version} or later |" in DOCUMENTED


def _needed_by(extra: str) -> set[str]:
    names = set()
    for requirement in PROJECT["optional-dependencies"][extra]:
        inner = re.match(r"django-taskworks\[(.+)\]", requirement)
        names |= _needed_by(inner[1]) if inner else {re.split(r"[\[<>=]", requirement)[0]}
    return names


def test_each_extra_is_complete() -> None:
    assert _needed_by("typed") == {"pydantic"}
    assert _needed_by("rest") == {"pydantic", "djangorestframework"}
    assert _needed_by("openapi") == {"pydantic", "djangorestframework", "drf-spectacular"}
    assert _needed_by("example") >= _needed_by("rest")
