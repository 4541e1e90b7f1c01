"""Measure one Python module: functions, the longest of them, comments and imports."""

import ast
import io
import threading
import tokenize
from collections.abc import Iterable, Iterator
from typing import TypedDict

MAX_LONGEST_FUNCTIONS = 10
# Python 3.11 fails if threads parse at once, with a SystemError (python/cpython#106905).
_parsing = threading.Lock()

Function = ast.FunctionDef | ast.AsyncFunctionDef


class FunctionSize(TypedDict):
    name: str
    lines: int


class ModuleMeasure(TypedDict):
    path: str
    functions: int
    longest_functions: list[FunctionSize]
    lines: int
    comment_lines: int
    comment_share: float
    imports: list[str]


def measure(source: bytes, path: str) -> ModuleMeasure:
    """Return the measure of a module; its source is bytes because it may declare its encoding."""
    with _parsing:
        tree = ast.parse(source, filename=path)
    sizes = function_sizes(tree)
    lines = count_lines(source)
    comment_lines = count_comment_lines(source)
    return ModuleMeasure(
        path=path,
        functions=len(sizes),
        longest_functions=longest_first(sizes)[:MAX_LONGEST_FUNCTIONS],
        lines=lines,
        comment_lines=comment_lines,
        comment_share=share(comment_lines, lines),
        imports=imported_modules(tree),
    )


def function_sizes(tree: ast.Module) -> list[FunctionSize]:
    return [
        FunctionSize(name=name, lines=line_count(function))
        for name, function in named_functions(tree)
    ]


def named_functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Yield all functions; not recursively, so that deep nesting cannot exhaust the stack."""
    unvisited: list[tuple[str, ast.AST]] = [("", tree)]
    while unvisited:
        scope, node = unvisited.pop()
        for child in ast.iter_child_nodes(node):
            name = name_within(scope, child)
            unvisited.append((name, child))
            if isinstance(child, Function):
                yield name, child


def name_within(scope: str, node: ast.AST) -> str:
    if not isinstance(node, Function | ast.ClassDef):
        return scope
    return f"{scope}.{node.name}" if scope else node.name


def line_count(function: Function) -> int:
    """Count the lines from `def` to the end, without decorators."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def longest_first(sizes: Iterable[FunctionSize]) -> list[FunctionSize]:
    return sorted(sizes, key=lambda size: (-size["lines"], size["name"]))


def count_lines(source: bytes) -> int:
    return sum(1 for line in source.splitlines() if line.strip())


def count_comment_lines(source: bytes) -> int:
    """Count the lines that contain only a comment."""
    tokens = tokenize.tokenize(io.BytesIO(source).readline)
    return sum(1 for token in tokens if is_comment_line(token))


def is_comment_line(token: tokenize.TokenInfo) -> bool:
    return token.type == tokenize.COMMENT and token.line.lstrip().startswith("#")


def share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def imported_modules(tree: ast.Module) -> list[str]:
    return sorted({name.partition(".")[0] for name in imported_names(tree)})


def imported_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
