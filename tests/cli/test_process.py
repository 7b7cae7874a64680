"""The command line as a process: Ctrl-C, leaving, broken pipes, threads, and quick lists."""

from __future__ import annotations

import gc
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import whyclip
from whyclip.cli import lists
from whyclip.process import importing

Run = Callable[..., Any]

# Tests run in the background may have inherited that Ctrl-C is ignored.
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "import whyclip.__main__ as w; print('up', flush=True); w.run()"
)


def popen(*arguments: object, code: str = START, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


@pytest.mark.parametrize(
    "seconds", [0.0, 1.0, 3.0, *(pytest.param(t, marks=pytest.mark.slow) for t in (6.0, 12.0))]
)
def test_ctrl_c_is_one_line_at_any_moment(
    folder: Path, picture: Path, tmp_path: Path, seconds: float
) -> None:
    """At moments spread over a run: while libraries are imported, loading, and computing."""
    slow = ("--method", "rise", "--option", "masks=2000000")
    out = tmp_path / "why.json"
    running = popen("explain", picture, "a dog", "--model", folder, *slow, "--out", out)
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    time.sleep(seconds + random.Random(seconds).random())
    assert running.poll() is None, "it ended by itself"
    running.send_signal(signal.SIGINT)
    printed, said = running.communicate(timeout=120)
    assert (running.returncode, printed, said) == (130, "", "whyclip: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_computing_is_one_line(
    whyclip_command: Run, folder: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast the machine: the moments above may all lie in the imports."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(whyclip, "explain", interrupted)
    ended = whyclip_command("explain", picture, "a dog", "--model", folder)
    assert ended == (130, "", "whyclip: interrupted\n")


def test_a_parent_that_ignores_ctrl_c_is_respected() -> None:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from whyclip.process import own_process; own_process()\n"
        "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN"
    )
    assert popen(code=code).wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--version"], 0), (["methods", "nonesuch"], 2), (["nonesuch"], 2)]
)
def test_the_process_leaves_with_the_code_and_all_that_was_printed(
    arguments: list[str], code: int
) -> None:
    """Functions of ``atexit`` run, although the interpreter is not taken apart."""
    script = f"import atexit, sys; atexit.register(print, 'left')\n{START}"
    running = popen(*arguments, code=script)
    printed, said = running.communicate(timeout=60)
    assert running.returncode == code
    assert printed.splitlines()[-1] == "left"
    assert len(said.splitlines()) == (code == 2)


def test_a_reader_that_leaves_gets_no_complaint() -> None:
    running = popen("methods")
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    running.stdout.close()
    assert running.stderr is not None
    assert running.stderr.read() == ""
    assert running.wait(timeout=60) == 1


def test_a_full_disk_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "whyclip", "methods"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode != 0
    [line] = done.stderr.splitlines()
    assert "No space left" in line


def test_garbage_collection_is_as_it_was_after_imports() -> None:
    for wanted in (True, False):
        (gc.enable if wanted else gc.disable)()
        try:
            with importing():
                assert not gc.isenabled()
            assert gc.isenabled() == wanted
        finally:
            gc.enable()


@pytest.mark.parametrize(
    "arguments",
    [
        ["methods"],
        ["methods", "kernel_shap"],
        ["metrics"],
        ["metrics", "iou"],
        ["datasets"],
        ["models"],
        ["reproduce"],
        ["--help"],
        ["explain", "--help"],
        ["methods", "nonesuch"],
        ["explain", "nowhere.png"],
    ],
    ids=" ".join,
)
def test_lists_and_help_import_no_large_library(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom whyclip.cli.app import main\ntry:\n main()\nfinally:\n"
        " print(sorted({'torch', 'open_clip', 'transformers', 'matplotlib', 'numpy', 'scipy',"
        " 'PIL'}"
        " & set(sys.modules)))"
    )
    printed, _ = popen(*arguments, code=script).communicate(timeout=120)
    assert printed.splitlines()[-1] == "[]"


def test_the_lists_are_those_of_the_declarations() -> None:
    """Fails when a declaration changed; then the file is to be written again."""
    kept = Path(lists.__file__).with_name(lists.FILE).read_text(encoding="utf-8")
    assert json.loads(kept) == json.loads(lists.text()), "run: python -m whyclip.cli.write_lists"


def test_a_list_that_is_out_of_date_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_kept", lambda: {"methods": {"digest": "old", "entries": {}}})
    assert set(lists.declared("methods")) == set(whyclip.methods.METHODS)


def test_a_method_of_somebody_else_is_listed(
    whyclip_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    methods = whyclip.methods.METHODS
    theirs = replace(methods["random"], name="theirs", title="Their method")
    monkeypatch.setattr(whyclip.methods, "METHODS", {**methods, "theirs": theirs})
    assert "theirs" in whyclip_command("methods").out
    assert "Their method" in whyclip_command("methods", "theirs").out


@pytest.mark.parametrize(("flags", "expected"), [((), 1), (("--threads", "3"), 3)])
def test_threads(
    whyclip_command: Run,
    folder: Path,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    expected: int,
) -> None:
    """A small model runs on one thread unless told otherwise; afterwards all is as before."""
    seen = []
    explain = whyclip.explain

    def watched(*arguments: Any, **options: Any) -> Any:
        seen.append(torch.get_num_threads())
        return explain(*arguments, **options)

    monkeypatch.setattr(whyclip, "explain", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert whyclip_command("explain", picture, "a dog", "-m", folder, *flags).code == 0
        assert seen == [expected]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_large_model_keeps_the_threads_of_pytorch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyclip.cli import shared

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        monkeypatch.setattr(shared, "SMALL", 1)
        shared.load(str(folder), None)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
