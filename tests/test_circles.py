"""Circles of imports between single files: those of today are listed, and the list may only shrink.

A circle counts wherever its imports stand, within functions too: it means that no file of it can
be read, tested or moved without the others.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from test_structure import MODULES, SRC, parsed, walk

# Only take lines out. The first is kept by choice: an Explanation saves and shows itself.
CIRCLES = {
    "explanation export render render.comparison render.figure render.page render.parts"
    " render.reading render.show render.terminal render.thumbnail render.typeset render.words"
    " storage",
    "finetuning.caption_kinds finetuning.captions finetuning.decode finetuning.scene_captions"
    " finetuning.table_captions finetuning.tar_captions",
    "regions.pages regions.result regions.tables",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, known: Mapping[str, Path]) -> set[str]:
    """The files of whyclip that a file imports, without those that only type checkers read."""
    modules = set()
    for node, _ in walk(parsed(path)):
        if isinstance(node, ast.ImportFrom):
            home = str(node.module).removeprefix("whyclip.")
            # `from whyclip.models import load` names the file load.py, if there is one.
            for alias in node.names:
                file = f"{home}.{alias.name}"
                modules.add(file if file in known else home)
        elif isinstance(node, ast.Import):
            modules |= {alias.name.removeprefix("whyclip.") for alias in node.names}
    return (modules & known.keys()) - {module_name(path)}


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
    return seen


def circles(graph: Mapping[str, set[str]]) -> set[str]:
    reach = {name: reachable(graph, name) for name in graph}
    together = {
        frozenset(other for other in reach[name] if name in reach[other])
        for name in graph
        if name in reach[name]
    }
    return {" ".join(sorted(circle)) for circle in together}


def test_no_circle_is_new_and_none_that_is_gone_is_listed() -> None:
    known = {module_name(path): path for path in MODULES}
    assert circles({name: imports_of(path, known) for name, path in known.items()}) == CIRCLES


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}) == {"b c", "d"}
