"""``explain --bundle`` and the gallery of several images."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
from PIL import Image

import whyclip

Run = Callable[..., Any]
SCHEMAS = Path(__file__).parent.parent.parent / "docs" / "schemas"


def test_a_bundle_has_every_part_and_says_so(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    place = tmp_path / "bundle"
    done = whyclip_command(
        "explain", picture, "a dog", "a/red car", "-m", folder, "--bundle", place
    )
    assert done.code == 0, done.err
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    jsonschema.validate(manifest, json.loads((SCHEMAS / "bundle.json").read_text()))
    written = {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()}
    assert written == {one["name"] for one in manifest["files"]} | {"manifest.json"}
    for one in manifest["files"]:
        content = (place / one["name"]).read_bytes()
        assert (len(content), sha256(content).hexdigest()) == (one["bytes"], one["sha256"])
    assert manifest["command"].startswith("whyclip explain --model ")
    explanation = whyclip.load_explanation(place / "explanation.npz")
    with Image.open(place / "image.png") as image, Image.open(picture) as original:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(original.convert("RGB")))
    with (place / "words.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = [w.relevance for words in explanation.words for w in words]
    assert [float(row["relevance"]) for row in rows] == expected
    with (place / "scores.csv").open(encoding="utf-8") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(scores, explanation.scores)
    assert len(list((place / "maps").iterdir())) == 2


def test_several_images_get_a_gallery_that_links_to_each_page(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    photos, pages = tmp_path / "photos", tmp_path / "pages"
    photos.mkdir()
    with Image.open(picture) as image:
        for name in ("a b", "</script>"[:1] + "x"):
            image.convert("RGB").save(photos / f"{name}.png")
    done = whyclip_command("explain", photos, "a dog", "-m", folder, "--out", pages, "--json")
    assert done.code == 0, done.err
    scores = [json.loads(line)["prompts"][0]["score"] for line in done.out.splitlines()]
    html = (pages / "index.html").read_text(encoding="utf-8")
    [data] = re.findall(r'(?s)<script id="data"[^>]*>(.*?)</script>', html)
    gallery = json.loads(data)
    assert "<" not in data
    assert gallery["prompts"] == ["a dog"]
    assert [one["link"] for one in gallery["entries"]] == ["%3Cx.html", "a%20b.html"]
    np.testing.assert_allclose([one["scores"][0] for one in gallery["entries"]], scores, atol=1e-6)
    assert all(len(one["thumbnails"]) == 2 for one in gallery["entries"])


def test_an_image_called_index_keeps_its_page(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    photos, pages = tmp_path / "photos", tmp_path / "pages"
    photos.mkdir()
    with Image.open(picture) as image:
        for name in ("index", "other"):
            image.convert("RGB").save(photos / f"{name}.png")
    whyclip_command("explain", photos, "a dog", "-m", folder, "--out", pages)
    assert 'id="gallery"' not in (pages / "index.html").read_text(encoding="utf-8")
    assert {path.name for path in pages.iterdir()} == {"index.html", "other.html"}
