"""The project's shape: imports point one way, files stay short, nothing is pickled or hooked."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import whyclip

SRC = Path(__file__).parent.parent / "src" / "whyclip"

# Data flows down this list; a module may import from the rooms above its own, and its own.
FLOW = (
    "_version",
    "errors",
    "types",
    "process",
    "workers",
    "progress",
    "ambient",
    "files",
    "stats",
    "image_files",
    "lexicon",
    "match",
    "audit_index",
    "options",
    "registry",
    "inputs",
    "models",
    "forward",
    "methods",
    "certificate",
    "resample",
    "areas",
    "explanation",
    "comparing",
    "directions",
    "encoded_prompts",
    "encoded_classes",
    "variant",
    "preprocessed",
    "selection",
    "batches",
    "matching",
    "assemble",
    "image_pass",
    "pipeline",
    "api",
    "iterate",
    "integrations",
    "vectors",
    "interactions",
    "attention_heads",
    "storage",
    "perturbation",
    "metrics",
    "render",
    "coco_json",
    "export",
    "__init__",
    "scenes",
    "datasets",
    "mini",
    "web",
    "report",
    "regions",
    "finetuning",
    "editing",
    "sparse_concepts",
    "studies",
    "bulk",
    "cli",
    "__main__",
)
# Explanation.save and .show reach for what comes after them, when they are called. ModelView.scorer
# does so by name.
LATE = {
    ("explanation", "storage"),
    ("explanation", "render"),
    ("comparing", "render"),
    ("explanation", "export"),
    ("attention_heads", "export"),
    ("attention_heads", "render"),
    ("interactions", "export"),
    ("interactions", "render"),
}
LONGEST = 300

MODULES = sorted(SRC.rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(SRC))


def room_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    }


def walk(node: ast.AST, *, inside: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Every node that runs, with whether it runs only when a function is called."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            continue
        yield child, inside
        called = inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from walk(child, inside=called)


def imported(node: ast.AST) -> list[str]:
    """Full names of the whyclip modules an import statement may load."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.split(".")[0] == "whyclip"]
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "whyclip":
        if node.module != "whyclip":
            return [str(node.module)]
        return [f"whyclip.{alias.name}" for alias in node.names]
    return []


def target_room(full: str) -> str:
    parts = full.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOW else "__init__"


def wrong_imports(path: Path) -> list[str]:
    room, lines = room_of(path), []
    for node, late in walk(parsed(path)):
        for full in imported(node):
            target = target_room(full)
            forward = FLOW.index(target) <= FLOW.index(room)
            if not forward and not (late and (room, target) in LATE):
                lines.append(f"line {node.lineno}: {full}")
    return lines


def offenders(
    check: Callable[[Path], list[str]], paths: Iterable[Path] = MODULES
) -> dict[str, list[str]]:
    return {name_of(path): faults for path in paths if (faults := check(path))}


def test_every_room_has_its_place() -> None:
    assert {room_of(path) for path in MODULES} <= set(FLOW), "say in FLOW where it stands"


def test_imports_point_one_way() -> None:
    assert offenders(wrong_imports) == {}


def relative_imports(path: Path) -> list[str]:
    nodes = (node for node, _ in walk(parsed(path)))
    return [f"line {n.lineno}" for n in nodes if isinstance(n, ast.ImportFrom) and n.level]


def test_no_relative_imports() -> None:
    assert offenders(relative_imports) == {}


def test_a_backward_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SRC", tmp_path)
    wrong = tmp_path / "errors.py"
    wrong.write_text("from whyclip.render import figure\ndef f():\n    import whyclip.cli\n")
    assert wrong_imports(wrong) == ["line 1: whyclip.render", "line 3: whyclip.cli"]
    late = tmp_path / "explanation.py"
    late.write_text("def save():\n    from whyclip.storage import save\n")
    assert not wrong_imports(late)
    late.write_text("from whyclip.storage import save\n")
    assert wrong_imports(late) == ["line 1: whyclip.storage"]


def length(path: Path) -> list[str]:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    return [f"{lines} lines"] if lines > LONGEST else []


def test_files_stay_short() -> None:
    written = [p for p in SRC.rglob("*") if p.suffix in {".py", ".js", ".css", ".html"}]
    assert len(written) > len(MODULES)
    assert offenders(length, written) == {}


def unpickling(path: Path) -> list[str]:
    names = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names += [a.name for a in node.names if a.name.split(".")[0] in PICKLERS]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module] if (node.module or "").split(".")[0] in PICKLERS else []
        elif isinstance(node, ast.Call):
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            weights_only = given.get("weights_only")
            if weights_only not in {None, "True"} or (
                weights_only is None and ast.unparse(node.func) == "torch.load"
            ):
                names.append(f"weights_only={weights_only}")
            if given.get("allow_pickle") not in {None, "False"}:
                names.append("allow_pickle")
    return [str(name) for name in names]


PICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def test_nothing_is_unpickled() -> None:
    assert offenders(unpickling) == {}


def hooks_and_evals(path: Path) -> list[str]:
    calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    names = [ast.unparse(call.func) for call in calls]
    hooks = [
        n for n in names if (last := n.split(".")[-1]).startswith("register_") and "hook" in last
    ]
    return hooks + [name for name in names if name in {"eval", "exec"}]


def test_hooks_are_set_in_one_place_and_there_are_no_evals() -> None:
    assert offenders(hooks_and_evals) == {"forward/hooks.py": ["module.register_forward_pre_hook"]}


def test_the_rules_find_what_breaks_them(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import pickle\nfrom joblib import load\ntorch.load(f)\ntorch.load(f, weights_only=False)\n"
        "np.load(f, allow_pickle=True)\nm.register_forward_hook(f)\nm.register_buffer('a', b)\n"
        "eval('1')\nm.eval()\nfrom . import x\n" + "\n" * LONGEST
    )
    assert len(unpickling(wrong)) == 5
    assert hooks_and_evals(wrong) == ["m.register_forward_hook", "eval"]
    assert relative_imports(wrong) == ["line 10"]
    assert length(wrong) == ["310 lines"]
    wrong.write_text("torch.load(f, weights_only=True)\nnp.load(f, allow_pickle=False)\n")
    assert not unpickling(wrong)


def undocumented(path: Path) -> list[str]:
    tree = parsed(path)
    names = [] if ast.get_docstring(tree) else ["the module"]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            names += [] if ast.get_docstring(node) or is_overload(node) else [node.name]
    return names


def test_everything_public_says_what_it_is() -> None:
    assert offenders(undocumented) == {}


def is_overload(node: ast.AST) -> bool:
    return any(ast.unparse(d) == "overload" for d in getattr(node, "decorator_list", ()))


def test_all_is_exactly_the_public_surface() -> None:
    rooms = {"errors", "methods"}
    named = {
        name
        for name in dir(whyclip)
        if not name.startswith("_") and not isinstance(getattr(whyclip, name), ModuleType)
    }
    assert named | rooms == set(whyclip.__all__)
    assert list(whyclip.__all__) == sorted(whyclip.__all__)
    assert all(isinstance(getattr(whyclip, room), ModuleType) for room in rooms)
    assert all(inspect.getdoc(getattr(whyclip, name)) for name in whyclip.__all__)


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    script = (
        "import sys, whyclip.cli.app\n"
        "heavy = {'torch', 'open_clip', 'transformers', 'matplotlib', 'numpy', 'scipy', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"
