"""Names say what a thing is: no variable, parameter, field or function is called "found"."""

from __future__ import annotations

import ast
from pathlib import Path

from test_structure import SRC, offenders, parsed

ROOT = SRC.parent.parent

# Say what a thing is, not how the code came by it.
EMPTY_NAMES = {"found", "asked", "own", "told"}


def given_names(node: ast.AST) -> list[str]:
    """Names that a statement or expression gives: to a variable, parameter, field or function."""
    if isinstance(node, ast.Name | ast.Attribute) and not isinstance(node.ctx, ast.Store):
        return []
    if isinstance(node, ast.alias):
        return [node.asname or ""]
    kinds = {"id": ast.Name, "arg": ast.arg, "attr": ast.Attribute}
    names = [getattr(node, part) for part, kind in kinds.items() if isinstance(node, kind)]
    named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler | ast.MatchAs
    return names + ([node.name or ""] if isinstance(node, named) else [])


def empty_names(path: Path) -> list[str]:
    given = [name for node in ast.walk(parsed(path)) for name in given_names(node)]
    return [name for name in given if name.strip("_").lower() in EMPTY_NAMES]


def test_names_say_what_a_thing_is() -> None:
    assert offenders(empty_names) == {}


def test_names_in_tests_and_benchmarks_say_what_a_thing_is() -> None:
    paths = {folder: sorted((ROOT / folder).rglob("*.py")) for folder in ("tests", "benchmarks")}
    assert all(paths.values())
    wrong = {
        str(path.relative_to(ROOT)): names
        for path in paths["tests"] + paths["benchmarks"]
        if (names := empty_names(path))
    }
    assert wrong == {}


def test_names_that_say_nothing_are_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import x as found\ndef own(asked, *, _own=1):\n    self.told = asked\n"
        "class Asked:\n    own: int\n[0 for i, told in y]\nwith z as found: pass\n"
        "if (told := 1): pass\ntry: pass\nexcept E as found: pass\nlambda own: own\n"
    )
    assert len(empty_names(wrong)) == 12
    wrong.write_text("print(found, x.own)\nf(asked=1)\nfounded = 'found'\n")
    assert not empty_names(wrong)
