"""The direct count: the same numbers in one plain loop, to check the results of the tasks.

It shares no code with the measuring, so that one mistake cannot affect both.
"""

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class DirectCount(NamedTuple):
    modules: int
    unparseable: int
    functions: int


def count_directly(source: Path) -> DirectCount:
    counts = [functions_in(path) for path in python_files(source)]
    parseable = [count for count in counts if count is not None]
    return DirectCount(
        modules=len(counts),
        unparseable=len(counts) - len(parseable),
        functions=sum(parseable),
    )


def python_files(source: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(source):
        paths = (Path(folder, name) for name in names if name.endswith(".py"))
        yield from (path for path in paths if path.is_file())


def functions_in(path: Path) -> int | None:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return None
    return sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))
