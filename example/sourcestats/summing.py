"""Summarize the measures of many modules."""

from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

from sourcestats.measuring import MAX_LONGEST_FUNCTIONS, ModuleMeasure, share

MAX_MOST_IMPORTED = 10


class LongFunction(TypedDict):
    path: str
    name: str
    lines: int


class Summary(TypedDict):
    modules: int
    functions: int
    lines: int
    comment_share: float
    longest_functions: list[LongFunction]
    most_imported: list[tuple[str, int]]


def summarize(measures: Sequence[ModuleMeasure]) -> Summary:
    lines = sum(measure["lines"] for measure in measures)
    comment_lines = sum(measure["comment_lines"] for measure in measures)
    return Summary(
        modules=len(measures),
        functions=sum(measure["functions"] for measure in measures),
        lines=lines,
        comment_share=share(comment_lines, lines),
        longest_functions=longest_functions(measures),
        most_imported=most_imported(measures),
    )


def longest_functions(measures: Sequence[ModuleMeasure]) -> list[LongFunction]:
    functions = [
        LongFunction(path=measure["path"], name=function["name"], lines=function["lines"])
        for measure in measures
        for function in measure["longest_functions"]
    ]
    functions.sort(key=lambda function: (-function["lines"], function["path"], function["name"]))
    return functions[:MAX_LONGEST_FUNCTIONS]


def most_imported(measures: Sequence[ModuleMeasure]) -> list[tuple[str, int]]:
    importers = Counter(name for measure in measures for name in measure["imports"])
    return sorted(importers.items(), key=lambda item: (-item[1], item[0]))[:MAX_MOST_IMPORTED]
