"""
The lowest versions that pyproject.toml names, as constraints for pip: ``python -m tests.lowest``.

Only what a project installs together with Taskworks; tools of the development are taken as they
come.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
TOOLS = ("dev", "docs", "example")
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[.*\])?>=(?P<version>[\d.]+)")


def lowest_versions(project: dict[str, Any]) -> dict[str, str]:
    """Return the lowest version of each package that the project or one of its extras names."""
    extras = project["optional-dependencies"]
    requirements = [
        *project["dependencies"],
        *(requirement for extra in extras if extra not in TOOLS for requirement in extras[extra]),
    ]
    matches = map(REQUIREMENT.fullmatch, requirements)
    return {match["name"]: match["version"] for match in matches if match}


def main() -> None:
    """Print the constraints."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    for name, version in lowest_versions(project).items():
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
