"""Sources list the same images in the same order, and say what is wrong with each."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

import whyclip
from bulk_runs import encoded, image_folder, names, rows, tar, view
from whyclip.bulk.file_source import FileSource
from whyclip.bulk.open_source import open_source
from whyclip.bulk.source import Source, parts_of
from whyclip.bulk.tar_source import expanded
from whyclip.errors import ImageError, InputError, OptionError


def listed(source: Source) -> list[tuple[int, str, Any, str]]:
    return [(item.number, item.id, item.prompts, item.fault) for item in source.items()]


def pixels(source: Source) -> list[bytes]:
    """Every image decoded, as a worker would."""
    from whyclip.inputs import read_image

    return [read_image(source.load(item).image).tobytes() for item in source.items()]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return image_folder(tmp_path / "images", 6, broken=None)


def test_folders_patterns_and_files(images: Path) -> None:
    ids = names(images)
    assert [id for _, id, _, _ in listed(FileSource(str(images)))] == ids
    assert [id for _, id, _, _ in listed(FileSource(f"{images}/**/*.png"))] == ids
    assert [id for _, id, _, _ in listed(FileSource(f"{images}/00[12].png"))] == [
        "001.png",
        "002.png",
    ]
    assert [id for _, id, _, _ in listed(FileSource(str(images / "001.png")))] == ["001.png"]
    (images / "notes.txt").write_text("no image", encoding="utf-8")
    assert FileSource(str(images)).length == 6
    for name in (str(images / "none"), str(images / "*.jpg")):
        with pytest.raises(ImageError, match="none|jpg"):
            FileSource(name)


def test_parts_hold_all_items_once(images: Path) -> None:
    parts = list(parts_of(FileSource(str(images)), 4))
    assert [[item.number for item in part.items] for part in parts] == [[0, 1, 2, 3], [4, 5]]
    assert [part.number for part in parts] == [0, 1]
    [part] = parts_of(FileSource(str(images)), 4, limit=3)
    assert len(part.items) == 3


def test_tables_of_both_kinds(images: Path) -> None:
    table = [
        {"image": "000.png", "text": "a dog", "left": "1", "top": "2", "right": "9", "bottom": "9"},
        {"image": "", "text": "a dog", "left": "", "top": "", "right": "", "bottom": ""},
        {"image": "more/003.png", "text": "", "left": "5", "top": "2", "right": "4", "bottom": "9"},
        {
            "image": "../secret.png",
            "text": "a cat",
            "left": "",
            "top": "",
            "right": "",
            "bottom": "",
        },
        {
            "image": "https://x.org/a.png",
            "text": "a",
            "left": "",
            "top": "",
            "right": "",
            "bottom": "",
        },
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]))
    writer.writeheader()
    writer.writerows(table)
    (images / "t.csv").write_text(text.getvalue(), encoding="utf-8")
    parquet.write_table(pa.Table.from_pylist(table), images / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        source = open_source(str(images / name), prompt_column="text")
        items = list(source.items())
        assert items[0].prompts == ("a dog",)
        assert items[0].box == (1, 2, 9, 9)
        assert not items[0].fault
        for item, fault in zip(
            items[1:], ("no image", "no prompt", "outside", "--outside"), strict=True
        ):
            assert fault in item.fault
        common = list(open_source(str(images / name)).items())
        assert common[2].prompts is None
        assert common[2].box is None
        with pytest.raises(OptionError, match="'photo'"):
            open_source(str(images / name), image_column="photo")


def test_parquet_cells_may_hold_the_images_and_lists_of_prompts(images: Path) -> None:
    table = [
        {"image": encoded(0), "text": ["a dog", "a cat"]},
        {"image": {"bytes": encoded(1), "path": "x.png"}, "text": ["a tree"]},
    ]
    parquet.write_table(pa.Table.from_pylist(table[:1]), images / "a.parquet")
    parquet.write_table(pa.Table.from_pylist(table[1:]), images / "b.parquet")
    first = open_source(str(images / "a.parquet"), prompt_column="text")
    second = open_source(str(images / "b.parquet"), prompt_column="text")
    assert listed(first) == [(0, "row 0", ("a dog", "a cat"), "")]
    assert listed(second) == [(0, "x.png", ("a tree",), "")]
    assert pixels(first) + pixels(second) == pixels(FileSource(str(images)))[:2]


def test_hugging_face_datasets_on_disk(images: Path, tmp_path: Path) -> None:
    import datasets

    made = datasets.Dataset.from_dict(
        {"image": [str(images / "000.png"), str(images / "001.png")], "text": ["a dog", "a cat"]},
        features=datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")}),
    )
    made.save_to_disk(tmp_path / "hf")
    source = open_source(f"hf:{tmp_path / 'hf'}", prompt_column="text", outside=True)
    assert [prompts for _, _, prompts, _ in listed(source)] == [("a dog",), ("a cat",)]
    assert pixels(source) == pixels(FileSource(str(images)))[:2]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_tars(tmp_path: Path, images: Path, mode: str) -> None:
    samples = [{"png": encoded(n), "txt": f"text {n}".encode()} for n in range(3)]
    samples.append({"json": json.dumps({"caption": ["x", "y"]}).encode(), "png": encoded(3)})
    tar(tmp_path / "a-0.tar", samples[:2], mode)
    tar(tmp_path / "a-1.tar", [*samples[2:], {"txt": b"no image"}], mode)
    pattern = f"{tmp_path}/a-{{0..1}}.tar"
    source = open_source(pattern)
    entries = listed(source)
    keys = ["a-0.tar:0000", "a-0.tar:0001", "a-1.tar:0000", "a-1.tar:0001", "a-1.tar:0002"]
    assert [id for _, id, _, _ in entries] == keys
    assert "no image" in entries[-1][3]
    decoded = [source.load(item).image.tobytes() for item in list(source.items())[:4]]
    expected = [open_source(str(file)) for file in sorted(images.rglob("00[0-3].png"))]
    assert sorted(decoded) == sorted(image for one in expected for image in pixels(one))
    texts = [(p, fault) for _, _, p, fault in listed(open_source(pattern, prompt_column="txt"))]
    assert texts[:3] == [(("text 0",), ""), (("text 1",), ""), (("text 2",), "")]
    assert "'txt'" in texts[3][1]
    captions = listed(open_source(pattern, prompt_column="caption"))
    assert captions[3][2] == ("x", "y")


def test_a_tar_that_is_cut_short_is_an_error_row(tmp_path: Path) -> None:
    whole = tar(tmp_path / "a.tar", [{"png": encoded(n)} for n in range(4)])
    size = whole.stat().st_size
    for cut in (size // 2, size // 2 // 512 * 512):
        (tmp_path / "b.tar").write_bytes(whole.read_bytes()[:cut])
        *before, last = listed(open_source(str(tmp_path / "b.tar")))
        assert last[1] == "b.tar"
        assert "damaged" in last[3]
        assert all(not fault for _, _, _, fault in before)


def test_braces() -> None:
    assert expanded("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert expanded("{a,b}-{0..1}") == ["a-0", "a-1", "b-0", "b-1"]
    assert expanded("plain.tar") == ["plain.tar"]
    with pytest.raises(InputError, match="brace is not closed"):
        expanded("a-{0..3.tar")


def test_addresses_by_fsspec(images: Path) -> None:
    system = fsspec.filesystem("memory")
    for name in names(images):
        system.pipe(f"/bulk/{name}", (images / name).read_bytes())
    system.pipe("/bulk/t.csv", b"image\n000.png\n/etc/passwd\n")
    local = FileSource(str(images))
    source = open_source("memory://bulk")
    assert listed(source) == listed(local)
    assert pixels(source) == pixels(local)
    assert [id for _, id, _, _ in listed(open_source("memory://bulk/00*.png"))] == [
        id for id in names(images) if "/" not in id
    ]
    table = list(open_source("memory://bulk/t.csv").items())
    assert not table[0].fault
    assert "outside" in table[1].fault
    tar(images / "x.tar", [{"png": encoded(0)}])
    system.pipe("/bulk/x.tar", (images / "x.tar").read_bytes())
    assert listed(open_source("memory://bulk/x.tar")) == [(0, "x.tar:0000", None, "")]
    for url in ("file:///etc", "simplecache::memory://bulk", "ssh://host/x"):
        with pytest.raises(InputError, match="cannot be read"):
            open_source(url)


def test_contents_change_with_the_listing(images: Path) -> None:
    before = FileSource(str(images)).contents()
    assert FileSource(str(images)).contents() == before
    (images / "000.png").rename(images / "zzz.png")
    assert FileSource(str(images)).contents() != before


def test_prompts_of_each_image(images: Path, tmp_path: Path) -> None:
    prompts = {"000.png": "a dog", "001.png": "a red car", "002.png": "a dog"}
    lines = ["image,text", *(f"{name},{text}" for name, text in prompts.items()), "004.png,"]
    (images / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    result = whyclip.explain_bulk(
        view(), str(images / "t.csv"), prompt_column="text", out=tmp_path / "out", workers=0
    )
    table = rows(result)
    assert [(row["id"], row["prompt"]) for row in table] == [*prompts.items(), ("004.png", None)]
    assert table[-1]["error"] == "the row has no prompt"
    for index, (name, text) in enumerate(prompts.items()):
        direct = whyclip.explain(view(), images / name, [text])
        assert float((result[index].maps - direct.maps).abs().max()) < 1e-5
        assert float(result[index].scores) == pytest.approx(float(direct.scores), abs=1e-5)
