"""`__all__`, the reference page, docstrings and signatures say the same."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import whyclip
from whyclip.integrations import scorer

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
PUBLIC = {name: getattr(whyclip, name) for name in whyclip.__all__}
FUNCTIONS = {name: one for name, one in PUBLIC.items() if inspect.isfunction(one)}
CLASSES = {name: one for name, one in PUBLIC.items() if inspect.isclass(one)}


def on_the_page(kind: str) -> set[str]:
    return set(re.findall(rf"(?m)^\.\. {kind}:: whyclip\.(\w+)$", PAGE))


def test_the_page_has_every_public_name_and_no_other() -> None:
    assert on_the_page("autofunction") == set(FUNCTIONS)
    assert on_the_page("autoclass") == set(CLASSES)
    modules = {name for name, one in PUBLIC.items() if isinstance(one, ModuleType)}
    assert set(FUNCTIONS) | set(CLASSES) | modules == set(PUBLIC)


def test_what_else_is_on_the_page_exists() -> None:
    for path in re.findall(r"(?m)^\.\. auto\w+:: whyclip\.([\w.]+)$", PAGE):
        *modules, name = path.split(".")
        target: Any = whyclip
        if modules:
            target = __import__(f"whyclip.{'.'.join(modules)}", fromlist=[name])
        assert hasattr(target, name), path
        assert inspect.getdoc(getattr(target, name)), path


def test_names_come_from_where_type_checkers_see_them() -> None:
    tree = ast.parse((ROOT / "src" / "whyclip" / "__init__.py").read_text(encoding="utf-8"))
    seen: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module != "whyclip":
            public = [alias.name for alias in node.names if not alias.name.startswith("_")]
            seen |= dict.fromkeys(public, str(node.module))
    homes = whyclip._HOMES  # type: ignore[attr-defined]
    assert {name: home for name, home in seen.items() if name in homes} == homes
    assert set(seen) | {"errors", "methods"} == set(whyclip.__all__)


def described(function: Any) -> list[str]:
    """Names under ``Args`` of a docstring."""
    text = inspect.getdoc(function) or ""
    _, _, rest = text.partition("Args:\n")
    block = re.split(r"\n\n?(?=\S)", rest)[0]
    return [name.lstrip("*") for name in re.findall(r"(?m)^ {4}(\*{0,2}\w+):", block)]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_parameter_is_described_in_order(name: str) -> None:
    parameters = list(inspect.signature(FUNCTIONS[name]).parameters)
    assert described(FUNCTIONS[name]) == parameters


def options(function: Any) -> dict[str, Any]:
    """Keyword-only parameters with defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}


def test_functions_that_explain_have_the_same_options() -> None:
    explain = options(whyclip.explain)
    assert options(whyclip.explain_iter) == {
        key: value for key, value in explain.items() if key != "pixels"
    }
    shared = {key: value for key, value in explain.items() if key not in ("pixels", "method")}
    assert options(whyclip.compare) == shared
    quantus = options(whyclip.explain_func)
    assert {key: quantus[key] for key in ("method", "precision")} == {
        key: explain[key] for key in ("method", "precision")
    }
    assert options(scorer) == options(whyclip.ModelView.scorer) == {"against": explain["against"]}
