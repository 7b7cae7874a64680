"""A run that ends early loses at most one part, and its rows are those of a whole run."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import whyclip
from bulk_runs import BROKEN, encoded, image_folder, rows, run, view
from whyclip.bulk import read_bulk
from whyclip.errors import InputError, OutputError

HERE = Path(__file__).parent.parent


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return image_folder(tmp_path / "images")


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((folder / "parts").glob("*.parquet"))}


def start(images: Path, out: Path) -> Any:
    """A run in a process of its own, forked when the model is loaded already."""
    view()
    process = multiprocessing.get_context("fork").Process(
        target=run, args=(images, out), kwargs={"workers": 1}
    )
    process.start()
    return process


def whole(images: Path, out: Path) -> float:
    began = time.monotonic()
    process = start(images, out)
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - began


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_gives_the_same(
    images: Path, tmp_path: Path, kills: int
) -> None:
    whole(images, tmp_path / "whole")
    expected = content(tmp_path / "whole")
    seconds = whole(images, tmp_path / "timed")
    folder, rng, done = tmp_path / "killed", random.Random(0), 0
    while done < kills:
        process = start(images, folder)
        process.join(rng.uniform(0, seconds))
        if process.exitcode is None:
            process.kill()
            process.join()
            done += 1
        else:
            assert process.exitcode == 0, "it ends by itself only when it is through"
        present = content(folder) if (folder / "parts").exists() else {}
        # What is there is whole, and what a whole run has there.
        assert present.items() <= expected.items()
        if present == expected:
            shutil.rmtree(folder)
    whole(images, folder)
    assert content(folder) == expected
    assert read_bulk(folder).complete


def test_parts_that_are_there_are_not_made_again(images: Path, tmp_path: Path) -> None:
    first = run(images, tmp_path / "out")
    before = content(tmp_path / "out")
    gone = first.files[1]
    gone.unlink()
    kept = {file: file.stat().st_mtime_ns for file in read_bulk(tmp_path / "out").files}
    counts: list[Any] = []
    again = run(images, tmp_path / "out", report=counts.append)
    assert content(tmp_path / "out") == before
    assert all(file.stat().st_mtime_ns == time for file, time in kept.items())
    assert (counts[-1].images, counts[-1].skipped) == (4, 10)
    assert again.complete


def test_a_full_disk_is_one_line_and_the_run_resumes(images: Path, tmp_path: Path) -> None:
    reference = run(images, tmp_path / "whole")
    largest = max(file.stat().st_size for file in reference.files)
    script = (
        "import resource, sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "import bulk_runs, whyclip\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest - 1}, {largest - 1}))\n"
        "try: bulk_runs.run(Path(sys.argv[2]), Path(sys.argv[3]))\n"
        "except whyclip.errors.OutputError as error: print(error); sys.exit(7)\n"
    )
    assert largest != resource.RLIM_INFINITY
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", script, str(HERE), str(images), str(out)],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    [line] = done.stdout.splitlines()
    assert line.startswith("cannot write")
    assert "File too large" in line
    assert content(out).items() < content(tmp_path / "whole").items()
    run(images, out)
    assert content(out) == content(tmp_path / "whole")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"geometry": "pad"}, "geometry"),
        ({"method": "raw_attention"}, "method"),
        ({"part_size": 5}, "part_size"),
        ({"limit": 3}, "limit"),
        ({"against": "a cat"}, "against"),
        ({"map_type": "float16"}, "map_type"),
    ],
)
def test_another_run_is_not_mixed_in(
    images: Path, tmp_path: Path, options: dict[str, Any], name: str
) -> None:
    run(images, tmp_path / "out", limit=2)
    before = content(tmp_path / "out")
    with pytest.raises(OutputError, match=f"another run; its {name}:"):
        run(images, tmp_path / "out", **{"limit": 2, **options})
    assert content(tmp_path / "out") == before


def test_other_weights_and_another_listing_are_not_mixed_in(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "out", limit=2)
    weight = view().module.visual.proj
    with torch.no_grad():
        weight[0, 0] += 1
    try:
        with pytest.raises(OutputError, match="its weights:"):
            run(images, tmp_path / "out", limit=2)
    finally:
        with torch.no_grad():
            weight[0, 0] -= 1
    (images / "099.png").write_bytes(encoded(99))
    with pytest.raises(OutputError, match="its contents:"):
        run(images, tmp_path / "out", limit=2)


def test_errors_are_tried_again_on_request(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "out")
    mended = images / f"{BROKEN:03d}.png"
    mended.write_bytes(encoded(BROKEN))
    still = run(images, tmp_path / "out")
    assert [id for id, _ in still.errors()] == [mended.name]
    counts: list[Any] = []
    again = run(images, tmp_path / "out", retry_errors=True, report=counts.append)
    assert not list(again.errors())
    # Its batch of two alone was explained again.
    assert counts[-1].images == 2
    assert rows(again) == rows(run(images, tmp_path / "fresh"))


def test_progress_counts_errors_and_time_left(images: Path, tmp_path: Path) -> None:
    texts: list[str] = []
    run(images, tmp_path / "out", report=lambda progress: texts.append(str(progress)))
    assert texts[0].startswith("2 of 14 images, ")
    assert texts[0].endswith(", 0 errors")
    assert texts[-1].startswith("14 of 14 images, ")
    assert texts[-1].endswith(" left, 1 errors")


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="manifest"):
        whyclip.read_bulk(tmp_path)
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(OutputError, match="manifest"):
        whyclip.read_bulk(tmp_path)


@pytest.mark.slow
def test_a_decoding_process_that_dies_is_one_line(images: Path, tmp_path: Path) -> None:
    def kill_workers(_: Any) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(InputError, match="a decoding process died"):
        run(images, tmp_path / "out", workers=1, batch_size=1, report=kill_workers)
    assert run(images, tmp_path / "out", batch_size=1).complete
