"""Tables of data: their encodings, what they may name, and one sentence for each fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from whyclip.datasets import open_dataset
from whyclip.datasets.coco import CocoInstances, CocoPanoptic
from whyclip.datasets.dataset import Sample, same_size
from whyclip.datasets.folder import Folder
from whyclip.datasets.imagenet import ImageNet
from whyclip.datasets.tables import read_table
from whyclip.errors import InputError, WhyclipError
from whyclip.files import write_atomic

TEXT = "image,label\none.png,café\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "data"
    where.mkdir()
    Image.new("RGB", (20, 20), "red").save(where / "one.png")
    Image.new("RGB", (20, 20), "blue").save(tmp_path / "secret.png")
    return where


def one_sentence(error: WhyclipError) -> str:
    message = str(error)
    assert "\n" not in message
    assert len(message) <= 240
    assert message.isprintable()
    return message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_can_be_told_are_read(folder: Path, encoding: str) -> None:
    (folder / "index.csv").write_bytes(TEXT.encode(encoding))
    dataset = Folder(folder)
    assert dataset.classes == ("café",)
    assert dataset[0].image.getpixel((0, 0)) == (255, 0, 0)


BROKEN: dict[str, tuple[bytes, str]] = {
    "Latin-1": (TEXT.encode("latin-1"), "line 2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
    "UTF-16 without its mark": (TEXT.encode("utf-16-le"), "UTF-8"),
    "UTF-16 cut in two": (TEXT.encode("utf-16")[:-1], "not UTF-16"),
    "UTF-16 with half a pair": (TEXT.encode("utf-16") + b"\x00\xd8", "not UTF-16"),
    "a NUL": (b"image,label\none.png,do\0g\n", "line 2: a NUL"),
    "a field of 200 kB": (b"image,label\none.png," + b"x" * 200_000 + b"\n", "field"),
    "a quote left open": (b'image,label\none.png,"dog\n' + b"two.png,cat\n" * 20_000, "quotation"),
    "a header of 200 kB": (b"x" * 200_000, "field"),
    "an image": (b"\x89PNG\r\n\x1a\n\0\0", "UTF-8"),
    "control characters": (b"image,label\n\x1b[31mone.png,\n", "line 2"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_is_no_table_is_said_in_one_sentence(folder: Path, what: str) -> None:
    content, message = BROKEN[what]
    (folder / "index.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        Folder(folder)
    assert message in one_sentence(caught.value)
    (folder / "val.txt").write_bytes(content)
    with pytest.raises(InputError) as caught:
        ImageNet(folder)
    one_sentence(caught.value)
    (folder / "val.txt").rename(folder / "LOC_val_solution.csv")
    with pytest.raises(InputError) as caught:
        ImageNet(folder)
    one_sentence(caught.value)


OUTSIDE = ("../secret.png", "a/../../secret.png", "ABSOLUTE", "./../secret.png")


def named(folder: Path, name: str) -> str:
    return str(folder.parent / "secret.png") if name == "ABSOLUTE" else name


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("column", ["image", "mask"])
def test_a_table_names_files_of_its_own_folder_only(folder: Path, name: str, column: str) -> None:
    row = {"image": "one.png", "mask": "", column: named(folder, name)}
    (folder / "a").mkdir()
    (folder / "index.csv").write_text(f"image,label,mask\n{row['image']},dog,{row['mask']}\n")
    with pytest.raises(InputError, match="outside its folder") as caught:
        open_dataset(f"folder:{folder}")
    assert "outside=True" in one_sentence(caught.value)
    (sample,) = open_dataset(f"folder:{folder}", outside=True)
    if column == "image":
        assert sample.image.getpixel((0, 0)) == (0, 0, 255)
    else:
        assert sample.masks is not None
        assert sample.masks["dog"].all()


def test_names_within_the_folder_are_all_allowed(folder: Path) -> None:
    (folder / "a").mkdir()
    rows = ["one.png", "./one.png", "a/../one.png", str(folder / "one.png"), "..one.png"]
    Image.new("RGB", (20, 20), "red").save(folder / "..one.png")
    (folder / "index.csv").write_text("\n".join(["image,label", *(f"{r},dog" for r in rows)]))
    for sample in Folder(folder):
        assert sample.image.getpixel((0, 0)) == (255, 0, 0)
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "index.csv").write_text("image,label\nlink.png,dog\n")
    assert Folder(folder)[0].image.getpixel((0, 0)) == (0, 0, 255), "a link is the user's own"


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_list_of_imagenet_names_files_of_its_own_folder_only(folder: Path, name: str) -> None:
    (folder / "a").mkdir()
    (folder / "val.txt").write_text(f"{named(folder, name)} 65\n")
    with pytest.raises(InputError, match="outside its folder"):
        open_dataset(f"imagenet:{folder}")
    assert open_dataset(f"imagenet:{folder}", outside=True)[0].image.getpixel((0, 0))[2] == 255


def coco(folder: Path, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "one.png", "height": 20, "width": 20}],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [
            {
                "image_id": 1,
                "category_id": 1,
                "segmentation": [[0, 0, 9, 0, 9, 9]],
                "file_name": "one.png",
                "segments_info": [{"id": 255, "category_id": 1}],
            }
        ],
    }
    for place, value in changes.items():
        content[place] = [{**content[place][0], **value}]
    file = folder / "annotations.json"
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize("name", OUTSIDE)
def test_annotations_name_files_of_their_own_folders_only(folder: Path, name: str) -> None:
    (folder / "a").mkdir()
    other = {"file_name": named(folder, name)}
    for change in ({"images": other}, {"annotations": other}):
        file = coco(folder, **change)
        with pytest.raises(InputError, match="outside its folder"):
            CocoPanoptic(folder, file, folder)
        sample = CocoPanoptic(folder, file, folder, outside=True)[0]
        red, _, blue = sample.image.getpixel((0, 0))  # type: ignore[misc]
        assert (blue > red) == ("images" in change)
    with pytest.raises(InputError, match="outside its folder"):
        CocoInstances(folder, coco(folder, images=other))


STRANGE: dict[str, dict[str, Any]] = {
    "no name": {"categories": {"name": None}},
    "half a surrogate pair": {"categories": {"name": "\ud800"}},
    "a number for a file": {"images": {"file_name": 7}},
    "a long file name": {"images": {"file_name": "x" * 300 + ".png"}},
    "a NUL in a file name": {"images": {"file_name": "a\0b.png"}},
    "a list for an id": {"images": {"id": [1]}},
    "an annotation of nothing": {"annotations": {"image_id": None}},
}


@pytest.mark.parametrize("what", STRANGE)
def test_strange_annotations_are_said_in_one_sentence(folder: Path, what: str) -> None:
    with pytest.raises(InputError) as caught:
        CocoInstances(folder, coco(folder, **STRANGE[what]))
    one_sentence(caught.value)


@pytest.mark.parametrize("content", ["[]", "7", '"images"', "[" * 100_000, "{", '{"images": 1}'])
def test_json_of_another_kind_is_said_in_one_sentence(folder: Path, content: str) -> None:
    (folder / "a.json").write_text(content)
    with pytest.raises(InputError) as caught:
        CocoInstances(folder, folder / "a.json")
    one_sentence(caught.value)


@pytest.mark.parametrize(
    "region",
    [None, 7, "x", [[1, 2]], [["a"] * 6], [7], {"counts": [1]}, {"size": [20, 20]},
     {"size": [20, 20], "counts": [None]}, {"size": 3, "counts": []}, [[float("nan")] * 6]],
)  # fmt: skip
def test_a_strange_region_is_an_error_of_its_sample(folder: Path, region: Any) -> None:
    dataset = CocoInstances(folder, coco(folder, annotations={"segmentation": region}))
    masks = dataset[0].masks
    assert masks is not None
    try:
        assert masks["dog"].shape == (20, 20)
    except InputError as error:
        one_sentence(error)


@pytest.mark.parametrize("name", ["x" * 300, "a/" + "é" * 200 + ".png"])
def test_names_that_no_file_can_have_are_said_in_one_sentence(folder: Path, name: str) -> None:
    (folder / "index.csv").write_text(f"image,label\n{name},dog\n", encoding="utf-8")
    with pytest.raises(InputError, match="at most 255") as caught:
        Folder(folder)
    one_sentence(caught.value)
    for kind in ("folder", "imagenet", "imagenet-s", "coco", "coco-panoptic"):
        with pytest.raises(InputError):
            open_dataset(f"{kind}:{name}")


def test_a_file_name_of_other_bytes_is_written_escaped() -> None:
    sample = Sample("caf\udce9", Path("caf\udce9.jpg"), ("dog",), ("a dog",))
    for text in (sample.id, sample.image_id):
        assert "caf" in text.encode("utf-8").decode("utf-8")
    assert sample.source == Path("caf\udce9.jpg"), "the file itself is still found"


def test_masks_have_the_size_of_their_image() -> None:
    mask = np.ones((3, 4), bool)
    assert same_size(mask, 3, 4) is mask
    with pytest.raises(InputError, match="4x3 pixels and its image 3x4"):
        same_size(mask, 4, 3)


def test_an_empty_class_folder_costs_nothing(tmp_path: Path) -> None:
    for synset in ("n01440764", "n01443537"):
        (tmp_path / synset).mkdir()
    Image.new("RGB", (20, 20), "red").save(tmp_path / "n01443537" / "a.JPEG")
    dataset = ImageNet(tmp_path)
    assert [sample.labels for sample in dataset] == [("n01443537",)]


def test_rows_of_the_datasets_library_name_files_of_their_folder_only(tmp_path: Path) -> None:
    import datasets as library

    Image.new("RGB", (20, 20), "blue").save(tmp_path / "secret.png")
    # As a stranger may have written it: the library itself puts the bytes in.
    cell = {"bytes": library.Value("binary"), "path": library.Value("string")}
    features = library.Features({"image": cell, "label": library.Value("string")})
    for path in (str(tmp_path / "secret.png"), "http://127.0.0.1:9/x.png"):
        cells = {"image": [{"bytes": None, "path": path}], "label": ["dog"]}
        written = tmp_path / f"rows{len(path)}"
        library.Dataset.from_dict(cells, features=features).save_to_disk(written)
        state = json.loads((written / "dataset_info.json").read_text())
        state["features"]["image"] = {"_type": "Image"}
        (written / "dataset_info.json").write_text(json.dumps(state))
        with pytest.raises(
            InputError, match="outside its folder|does not download images"
        ) as caught:
            open_dataset(f"hf:{written}")[0]
        one_sentence(caught.value)
    written = tmp_path / f"rows{len(str(tmp_path / 'secret.png'))}"
    allowed = open_dataset(f"hf:{written}", outside=True)[0]
    assert allowed.image.getpixel((0, 0)) == (0, 0, 255)


@pytest.mark.parametrize("name", ["x" * 250 + ".json", "x" * 255])
def test_a_file_may_have_as_long_a_name_as_any(tmp_path: Path, name: str) -> None:
    write_atomic(tmp_path / name, lambda: b"whole")
    assert (tmp_path / name).read_bytes() == b"whole"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["x" * 256, "half\ud800", "nul\0"])
def test_a_name_that_no_file_can_have_is_an_output_error(tmp_path: Path, name: str) -> None:
    from whyclip.errors import OutputError

    with pytest.raises(OutputError, match="cannot write") as caught:
        write_atomic(tmp_path / name, lambda: b"whole")
    one_sentence(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("image;caption", r"separated by ';'; separate them by commas"),
        ("image\tcaption", r"separated by '\\t'"),
        ("image,caption,image", r"has 2 columns 'image'; keep one"),
    ],
)
def test_a_header_that_would_be_misread_is_refused(tmp_path: Path, header: str, words: str) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\n1\n")
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / "a.csv")
