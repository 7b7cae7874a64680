"""A local Ray of two CPUs writes the rows that one process writes, also when workers are killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bulk_runs
import whyclip
from bulk_runs import image_folder, rows, run
from whyclip.bulk.file_source import FileSource
from whyclip.bulk.source import Item, Loaded
from whyclip.errors import OptionError, UnsupportedModelError
from whyclip.methods import random

TESTS = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    import ray

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        # The workers import the same modules as this process.
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}},
    )
    yield ray
    ray.shutdown()


def actors(of: str) -> list[int]:
    """Processes of the actors of a class, by the names that Ray gives them."""
    names = {file.parent.name: file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline")}
    return [int(pid) for pid, name in names.items() if b"ray::" in name and of.encode() in name]


class DiesOnce(FileSource):
    """Kill the process that reads the sixth image, the first time."""

    def __init__(self, spec: str, flag: Path) -> None:
        super().__init__(spec)
        self.flag = flag

    def load(self, item: Item) -> Loaded:
        if item.number == 6 and not self.flag.exists():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().load(item)


@pytest.mark.slow
def test_rows_are_the_same_after_a_decoder_and_an_actor_were_killed(
    cluster: Any, tmp_path: Path
) -> None:
    images = image_folder(tmp_path / "images")
    killed: list[int] = []

    def kill_actor(_: Any) -> None:
        if not killed:
            killed.extend(actors("_Explain"))
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    source = DiesOnce(str(images), tmp_path / "died")
    result = whyclip.explain_bulk(
        bulk_runs.view(), source, bulk_runs.PROMPTS, out=tmp_path / "ray",
        part_size=4, batch_size=2, engine="ray", report=kill_actor,
    )  # fmt: skip
    assert killed
    assert source.flag.exists()
    assert result.complete
    assert rows(result) == rows(run(images, tmp_path / "here"))


def fails(forward_pass: Any) -> Any:
    """A method that a model cannot be explained by."""
    raise UnsupportedModelError(f"planted on {len(forward_pass.inputs)} inputs")


@pytest.mark.slow
def test_an_error_in_an_actor_is_raised_as_it_is(cluster: Any, tmp_path: Path) -> None:
    images = image_folder(tmp_path / "images")
    method = replace(random.METHOD, name="fails", relevance=fails)
    with pytest.raises(UnsupportedModelError, match="^planted on 2 inputs$"):
        run(images, tmp_path / "out", engine="ray", method=method)


@pytest.mark.slow
def test_a_run_that_began_on_ray_resumes_here(cluster: Any, tmp_path: Path) -> None:
    images = image_folder(tmp_path / "images")
    first = run(images, tmp_path / "out", engine="ray")
    kept = {file.name: file.read_bytes() for file in first.files}
    first.files[1].unlink()
    again = run(images, tmp_path / "out")
    assert {file.name: file.read_bytes() for file in again.files} == kept


def test_engines_that_do_not_fit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = image_folder(tmp_path / "images")
    with pytest.raises(OptionError, match="needs engine='ray'"):
        run(images, tmp_path / "out", address="auto")
    with pytest.raises(OptionError, match="engine 'spark'"):
        run(images, tmp_path / "out", engine="spark")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="without torchrun"):
        run(images, tmp_path / "out", engine="ray")
