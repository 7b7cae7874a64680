"""``whyclip reference``, ``edits`` and ``concepts`` do what the library does."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import whyclip

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("photos")
    for seed in range(20):
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{seed:02}.png")
    return place


@pytest.fixture(scope="module")
def words(photos: Path) -> Path:
    path = photos / "words.txt"
    path.write_text("a dog\na cat\na tree\nwater\na house\n")
    return path


def test_a_reference_is_built_and_shown_in_every_form(
    whyclip_command: Run,
    folder: Path,
    model: whyclip.ModelView,
    picture: Path,
    photos: Path,
    words: Path,
    tmp_path: Path,
) -> None:
    file = tmp_path / "ref.npz"
    shared = ("--model", folder)
    done = whyclip_command("reference", photos, "--prompts", words, "--out", file, *shared)
    assert done.code == 0, done.err
    assert "5 prompts, 20 images" in done.out
    reference = whyclip.reference(model, photos, words.read_text().split("\n")[:-1])
    built = whyclip.load_reference(file)
    assert built.prompts == reference.prompts
    assert built.text_embeddings.equal(reference.text_embeddings)
    assert built.image_embeddings.equal(reference.image_embeddings)
    page, numbers = tmp_path / "x.html", tmp_path / "x.json"
    explained = whyclip_command(
        *("explain", picture, "a dog", "--reference", file, "--out", page, "--out", numbers),
        *shared,
    )
    assert explained.code == 0, explained.err
    [match] = whyclip.explain(model, str(picture), "a dog", reference=reference).matches
    assert match.sentence in " ".join(explained.out.split())
    assert f"competing prompts: {match.competitors[0][0]}" in explained.out
    assert f"score {match.score:.3f} is {match.verdict}" in " ".join(explained.out.split())
    record = json.loads(numbers.read_text())["prompts"][0]["match"]
    assert record["sentence"] == match.sentence
    assert match.sentence in page.read_text()
    printed = whyclip_command("explain", picture, "a dog", "--reference", file, "--json", *shared)
    assert json.loads(printed.out)["prompts"][0]["match"]["evidence"] == match.evidence


def test_a_reference_of_some_images_and_of_a_dataset(
    whyclip_command: Run, folder: Path, photos: Path, words: Path, tmp_path: Path
) -> None:
    file = tmp_path / "ref.npz"
    shared = ("--prompts", words, "--out", file, "--model", folder, "--template", "a photo of {}")
    assert whyclip_command("reference", photos, "--limit", 7, *shared).code == 0
    some = whyclip.load_reference(file)
    assert len(some.images) == 7
    assert list(some.images) == sorted(some.images)
    assert some.prompts[0] == "a photo of a dog"
    assert whyclip_command("reference", "--data", "scenes:3", *shared).code == 0
    assert len(whyclip.load_reference(file).images) == 3


def test_coco_json_names_the_image(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "maps.coco.json"
    done = whyclip_command("explain", picture, "a dog", "--out", out, "--model", folder)
    assert done.code == 0
    assert json.loads(out.read_text())["images"][0]["file_name"] == picture.name


def test_edits_are_printed_and_written(
    whyclip_command: Run, folder: Path, model: whyclip.ModelView, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "edits.csv"
    command = ("edits", picture, "a red car", "--model", folder, "--nouns", "bus,hot dog")
    done = whyclip_command(*command, "--out", out, "--out", tmp_path / "edits.html")
    assert done.code == 0, done.err
    edits = whyclip.edits(model, str(picture), "a red car", nouns=["bus", "hot dog"])
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["prompt"] for row in rows] == [row.prompt for row in edits]
    assert [float(row["score"]) for row in rows] == pytest.approx(
        [r.score for r in edits], abs=1e-5
    )
    assert edits[0].prompt in done.out
    assert done.out.count(f"is {edits.score:.3f}") == 1
    only = whyclip_command(*command, "--kind", "leave out")
    assert "hot dog" not in only.out


def test_concepts_are_printed_and_written(
    whyclip_command: Run,
    folder: Path,
    model: whyclip.ModelView,
    picture: Path,
    photos: Path,
    words: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "concepts.json"
    shared = ("--model", folder, "--vocabulary", words, "--penalty", 0.05)
    done = whyclip_command("concepts", picture, "--images", photos, "--out", out, *shared)
    assert done.code == 0, done.err
    vocabulary = words.read_text().split("\n")[:-1]
    concepts = whyclip.concepts(model, picture, vocabulary, images=photos, penalty=0.05)
    record = json.loads(out.read_text())
    assert [row["text"] for row in record["rows"]] == [row.text for row in concepts]
    assert all(row.text in done.out for row in concepts)
    assert done.out.count("concepts;") == 1
    assert whyclip_command("concepts", "a sheep", *shared).code == 0


WRONG = {
    "reference twice": (["reference", "PHOTOS", "--data", "scenes:2"], "give one of them"),
    "reference nowhere": (["reference", "no-such-folder"], "no image, folder or pattern"),
    "reference ending": (["reference", "PHOTOS", "--out", "ref.json"], ".npz"),
    "reference rate": (["reference", "PHOTOS", "--rate", "2", "--out", "TMP"], "rate=2"),
    "explain file": (["explain", "IMAGE", "a dog", "--reference", "no.npz"], "no such file"),
    "edits kind": (["edits", "IMAGE", "a dog", "--kind", "shuffle"], "kind of edit"),
    "edits ending": (["edits", "IMAGE", "a dog", "--out", "x.png"], ".png"),
    "edits empty": (["edits", "IMAGE", " "], "prompt #1 is empty"),
    "concepts mean": (["concepts", "IMAGE"], "mean of many images"),
    "concepts penalty": (["concepts", "a dog", "--penalty", "0"], "penalty=0"),
    "concepts ending": (["concepts", "a dog", "--out", "x.txt"], ".txt"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_one_line_and_exit_code_2(
    name: str, whyclip_command: Run, folder: Path, picture: Path, photos: Path, tmp_path: Path
) -> None:
    arguments, message = WRONG[name]
    stand = {"PHOTOS": str(photos), "IMAGE": str(picture), "TMP": str(tmp_path / "r.npz")}
    done = whyclip_command(*(stand.get(a, a) for a in arguments), "--model", folder)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
