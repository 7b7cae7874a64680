"""Methods, metrics and datasets of other packages and of the user, by entry points and register."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import families
import tiny
import whyclip
from whyclip.cli import lists
from whyclip.datasets import open_dataset
from whyclip.datasets.load import KINDS_OF_DATASETS
from whyclip.errors import OptionError, WhyclipWarning
from whyclip.methods import METHODS, Method
from whyclip.metrics import METRICS, get_metric
from whyclip.registry import Registry

THEIRS = '''
"""A package of somebody else."""
from dataclasses import replace
import torch
from whyclip.datasets import dataset_kinds
from whyclip.methods import Method, Relevance
from whyclip.metrics import get_metric

def ones(forward_pass, *, factor: float = 1.0):
    """The same everywhere."""
    b, t = forward_pass.content_mask.shape
    shape = (b, len(forward_pass.targets), t)
    return Relevance(torch.full(shape, factor), forward_pass.embedding)

METHOD = Method("their_method", "Theirs", "none", ones, False, False, "1", "nothing")
METRICS = (replace(get_metric("iou"), name="their_iou"), replace(get_metric("iou"), name="their_2"))
KIND = replace(dataset_kinds()["scenes"], name="their_scenes")
'''
POINTS = """[whyclip.methods]
m = theirs:METHOD
[whyclip.metrics]
all = theirs:METRICS
[whyclip.datasets]
d = theirs:KIND
"""
REGISTRIES = (METHODS, METRICS, KINDS_OF_DATASETS)


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test adds is gone after it, and it finds entry points unread."""
    for registry in REGISTRIES:
        len(registry)
        for name in ("_declared", "_origins"):
            monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
        monkeypatch.setattr(registry, "_read_others", False)
    yield
    sys.modules.pop("theirs", None)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path in which a package with entry points is installed."""
    (tmp_path / "theirs.py").write_text(THEIRS)
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def explained(method: str, **options: object) -> torch.Tensor:
    view = whyclip.wrap(*tiny.openclip_parts())
    maps = whyclip.explain(view, families.picture(), "a dog", method=method, **options).maps  # type: ignore[call-overload]
    assert isinstance(maps, torch.Tensor)
    return maps


def test_declarations_of_another_package_work_by_name(installed: Path) -> None:
    assert explained("their_method", factor=3.0).eq(3).all()
    assert get_metric("their_2").value is get_metric("iou").value
    assert len(open_dataset("their_scenes:3")) == 3
    for registry, name in zip(
        REGISTRIES, ("their_method", "their_iou", "their_scenes"), strict=True
    ):
        assert name in list(registry)
    assert METHODS["their_method"].verified_scope == "unverified"


def test_entry_points_are_read_on_a_miss_or_for_a_list_only(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    monkeypatch.setattr("whyclip.registry.third_party", lambda group: reads.append(group) or ())
    assert METHODS["grad_eclip"].name == "grad_eclip"
    assert not reads
    assert "their_method" not in METHODS
    assert reads == ["whyclip.methods"]
    assert METRICS.keys()
    list(METRICS)
    list(METRICS)
    assert reads == ["whyclip.methods", "whyclip.metrics"]


def test_the_command_line_lists_them(installed: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path])}
    for command, name in (("methods", "their_method"), ("metrics", "their_2")):
        done = subprocess.run(
            [sys.executable, "-m", "whyclip", command, name],
            capture_output=True,
            text=True,
            env=environ,
            check=False,
        )
        assert name in done.stdout, done.stderr


def test_the_list_that_is_shipped_has_whyclips_own_only(installed: Path) -> None:
    whyclip.register(replace(METHODS["raw_attention"], name="mine"))
    assert {"their_method", "mine"} < set(METHODS)
    shipped = json.loads(lists.text())
    assert {"grad_eclip", "random"} < set(shipped["methods"]["entries"])
    assert not {"their_method", "mine"} & set(shipped["methods"]["entries"])
    assert not {"their_iou", "their_2"} & set(shipped["metrics"]["entries"])
    assert "their_scenes" not in shipped["datasets"]["entries"]


def test_an_entry_point_that_fails_is_left_out_with_a_warning(installed: Path) -> None:
    (installed / "theirs.py").write_text("raise RuntimeError('broken')")
    with pytest.warns(WhyclipWarning, match=r"theirs:METHOD of theirs cannot be loaded.*broken"):
        assert "grad_eclip" in list(METHODS)
    assert "their_method" not in METHODS


def test_one_name_declared_twice_names_both_places(installed: Path) -> None:
    (installed / "theirs.py").write_text(THEIRS.replace('"their_method"', '"grad_eclip"'))
    both = r"'grad_eclip' is declared twice, by whyclip.methods.grad_eclip and by .*theirs:METHOD"
    with pytest.raises(OptionError, match=both):
        list(METHODS)


def test_register_adds_a_method_a_metric_and_a_kind_of_dataset() -> None:
    method = replace(METHODS["raw_attention"], name="mine")
    for declaration in (
        method,
        replace(METRICS["iou"], name="mine"),
        replace(KINDS_OF_DATASETS["scenes"], name="mine"),
    ):
        whyclip.register(declaration)
        whyclip.register(declaration)
    assert explained("mine").equal(explained("raw_attention"))
    assert get_metric("mine").title == METRICS["iou"].title
    assert len(open_dataset("mine:2")) == 2
    other = replace(method, title="another")
    with pytest.raises(OptionError, match=r"method 'mine' is declared twice, by whyclip\.methods"):
        whyclip.register(other)
    with pytest.raises(OptionError, match="cannot register 3; give a Method, a Metric or a"):
        whyclip.register(3)


def test_a_folder_that_declares_one_name_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "declaring_twice"
    folder.mkdir()
    for name in ("__init__", "a", "b"):
        (folder / f"{name}.py").write_text(
            "from types import SimpleNamespace\nTHING = SimpleNamespace(name='x')\n"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry("thing", "declaring_twice", SimpleNamespace, "THING")
    with pytest.raises(OptionError, match=r"twice, by declaring_twice\.a and by declaring_twice"):
        registry["x"]


def test_what_is_not_a_declaration_is_refused() -> None:
    registry = Registry("method", "whyclip.methods", Method, "METHOD")
    with pytest.raises(OptionError, match="declares 3; give a Method"):
        registry.add(3)  # type: ignore[arg-type]
    assert "random" in registry
