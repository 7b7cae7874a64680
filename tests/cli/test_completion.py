"""What the shell completes, and that no large library is imported for it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import get_args, get_type_hints

import open_clip
import pytest

from whyclip.cli import completion, lists
from whyclip.datasets import dataset_kinds
from whyclip.finetuning import phrases
from whyclip.methods import METHODS
from whyclip.metrics import METRICS
from whyclip.types import GeometryName

LOADED = "sorted({'torch', 'open_clip', 'transformers', 'numpy', 'PIL'} & set(sys.modules))"
SCRIPT = f"import sys\nfrom whyclip.cli.app import main\ntry:\n main()\nfinally:\n print({LOADED})"


def completed(line: str) -> list[str]:
    """The completions of a line that ends where the cursor is, without large libraries."""
    environ = {
        **os.environ,
        "_WHYCLIP_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(f"{line}|".split()) - 1),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-c", SCRIPT]
    run = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    *names, loaded = run.stdout.split("\n")[:-1]
    assert loaded == "[]", run.stderr
    return names


def test_a_shell_completes_methods_and_choices() -> None:
    expected = [name for name in METHODS if name.startswith("gra")]
    assert len(expected) > 1
    assert completed("whyclip explain a.png --method gra") == expected
    assert completed("whyclip explain a.png --geometry ") == list(get_args(GeometryName))


def test_the_shell_gets_a_script() -> None:
    environ = {**os.environ, "_WHYCLIP_COMPLETE": "source_bash"}
    run = subprocess.run(
        [sys.executable, "-m", "whyclip"], capture_output=True, text=True, env=environ, check=False
    )
    assert "_WHYCLIP_COMPLETE=complete_bash" in run.stdout


@pytest.mark.parametrize(
    ("complete", "names"),
    [
        (completion.methods, list(METHODS)),
        (completion.methods_or_all, [*METHODS, "all"]),
        (completion.metrics, list(METRICS)),
        (completion.sides, ["image", "text"]),
        (completion.datasets, [f"{name}:" for name in dataset_kinds()]),
        (completion.experiments, list(lists.declared("experiments"))),
        (completion.models, ["mini", "openclip:", "hf:"]),
    ],
)
def test_every_name_is_completed(complete: completion.Completer, names: list[str]) -> None:
    assert complete("") == names
    for name in names:
        assert name in complete(name[:3])
        assert all(entry.startswith(name[:3]) for entry in complete(name[:3]))


def test_the_last_of_several_names_is_completed() -> None:
    assert completion.methods("grad_eclip,rand") == ["grad_eclip,random"]
    assert completion.methods("random,rand") == [], "each name once"


def test_the_architectures_are_those_of_openclip() -> None:
    names = completion.models("openclip:")
    assert set(names) == {f"openclip:{name}/" for name in open_clip.list_models()}
    assert completion.models("openclip:ViT-B-32-q") == ["openclip:ViT-B-32-quickgelu/"]


def test_the_choices_of_the_command_are_those_of_the_library() -> None:
    from whyclip.cli.evaluate import evaluate
    from whyclip.cli.finetune import finetune
    from whyclip.studies.evaluation import setup

    def choices(command: object, name: str) -> tuple[str, ...]:
        return get_args(get_type_hints(command)[name])

    assert choices(evaluate, "prompt") == get_args(setup.PromptName)
    assert choices(evaluate, "protocol") == get_args(setup.ProtocolName)
    assert choices(finetune, "extractor") == phrases.NAMES
