"""Caption data in scenes and tables: what is read, skipped, refused, and chosen by a fraction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caption_sources import encoded, mask, number_of, picture, write_csv
from whyclip.errors import InputError, OptionError
from whyclip.finetuning import captions as kinds
from whyclip.finetuning.batch import Example
from whyclip.finetuning.captions import Indexed, Skipped, open_captions
from whyclip.finetuning.scene_captions import mentioned
from whyclip.scenes.captions import Writer, phrase
from whyclip.scenes.layout import keys_of, sample_layouts
from whyclip.scenes.scene import compose_scene
from whyclip.scenes.sprites import load_atlas


def examples(data, number=0, seed=0, **share):
    return [x for x in data.epoch(number, seed=seed, **share) if isinstance(x, Example)]


def skipped(data):
    return {x.id: x.reason for x in data.epoch(0, seed=0) if isinstance(x, Skipped)}


def test_scenes_give_their_own_captions_in_another_order_each_epoch():
    data = open_captions("scenes:12:3")
    assert len(data) == 12
    first, again, second = ([e.id for e in examples(data, number)] for number in (0, 0, 1))
    assert first == again
    assert first != second
    assert sorted(first) == sorted(second)
    one = examples(data)[0]
    scene = next(s for s in data.scenes if one.id == f"train-{s.seed}")
    assert one.caption == scene.caption
    assert np.array_equal(np.asarray(one.image), np.asarray(scene.image))
    assert one.phrases is None


def test_true_masks_are_those_of_the_objects_that_the_caption_claims():
    data = open_captions("scenes:70", true_masks=True)
    atlas = load_atlas()
    writer = Writer(atlas)
    colours = writer.colours
    for item in range(70):
        example, scene = data.read(item), data.scenes[item]
        layout = sample_layouts(atlas, keys_of(np.array([scene.seed]), "train"), objects=(1, 4))
        text, claim = writer.caption(layout, 0)
        assert text == example.caption
        things = {thing.name: thing for thing in scene.objects}
        claimed = {}
        for concept, colour in claim.objects:
            thing = things[atlas.names[concept]]
            words = {
                phrase(name, colours[colour] if colour >= 0 else None, article=False)
                for name in (thing.name, *atlas.synonyms[concept])
            }
            if thing.mask.any():
                claimed[thing.name] = (words, thing.mask)
        assert len(example.phrases) == len(claimed)
        for words, area in zip(example.phrases, example.phrase_masks or (), strict=True):
            fits = [name for name, (names, _) in claimed.items() if words in names]
            assert len(fits) == 1
            assert np.array_equal(area, claimed[fits[0]][1])


@pytest.mark.parametrize("spec", ["scenes:", "scenes:x", "scenes:1:2:3", "scenes:-1", "scenes:0"])
def test_wrong_numbers_of_scenes_are_refused(spec):
    with pytest.raises(InputError):
        open_captions(spec)


@pytest.mark.parametrize("spec", ["tfrecord:x", "", "data.txt", "wds:", "csv:"])
def test_unknown_kinds_are_refused_in_one_line(spec):
    with pytest.raises(InputError) as caught:
        open_captions(spec)
    assert len(str(caught.value)) < 160


def test_csv_gives_images_captions_and_hidden_pixels(tmp_path):
    mask().save(tmp_path / "mask.png")
    file = write_csv(
        tmp_path, 3, [{"image": "2.png", "caption": " a marked thing ", "mask": "mask.png"}]
    )
    read = {e.id: e for e in examples(open_captions(f"csv:{file}"))}
    assert [number_of(read[f"row {i}"]) for i in range(4)] == [0, 1, 2, 2]
    assert [read[f"row {i}"].caption for i in (1, 3)] == ["thing number 1", "a marked thing"]
    assert read["row 0"].hidden is None
    assert np.array_equal(read["row 3"].hidden, np.asarray(mask()) > 0)
    assert examples(open_captions(str(file)))[0].caption


def test_unusable_rows_are_skipped_with_a_reason(tmp_path):
    (tmp_path / "broken.png").write_bytes(encoded(picture(1))[:60])
    (tmp_path / "text.png").write_bytes(b"no image")
    mask(4, 9).save(tmp_path / "small.png")
    rows = [("broken.png", "a", ""), ("text.png", "a", ""), ("gone.png", "a", ""),
            ("0.png", "  ", ""), ("", "a", ""), ("0.png", "a", "small.png"),
            ("0.png", "a", "text.png")]  # fmt: skip
    extra = [dict(zip(("image", "caption", "mask"), row, strict=True)) for row in rows]
    data = open_captions(f"csv:{write_csv(tmp_path, 5, extra)}")
    bad = [kinds.UNREADABLE] * 3 + [kinds.EMPTY_CAPTION, kinds.NO_IMAGE] + [kinds.BAD_MASK] * 2
    assert skipped(data) == {f"row {5 + i}": reason for i, reason in enumerate(bad)}
    # Every position has an example, although seven rows are unusable.
    assert len(examples(data)) == 12
    sizes = [x.detail for x in data.epoch(0, seed=0) if isinstance(x, Skipped)]
    assert any("4x9" in detail and "20x16" in detail for detail in sizes)


def test_data_without_a_usable_example_is_an_error(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    extra = [{"image": "bad.png", "caption": "a"}] * 4
    data = open_captions(f"csv:{write_csv(tmp_path, 0, extra)}")
    with pytest.raises(InputError, match=r"no usable example.*cannot be read"):
        list(data.epoch(0, seed=0))


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd"])
@pytest.mark.parametrize("column", ["image", "mask"])
def test_csv_cannot_name_files_outside_its_folder(tmp_path, name, column):
    row = {"image": "0.png", "caption": "a", "mask": ""} | {column: name}
    file = write_csv(tmp_path / "in", 1, [row])
    with pytest.raises(InputError, match="outside its folder"):
        open_captions(f"csv:{file}")


def test_csv_may_name_files_outside_where_the_user_allows_it(tmp_path):
    picture(7).save(tmp_path / "out.png")
    file = write_csv(tmp_path / "in", 0, [{"image": "../out.png", "caption": "a"}])
    assert number_of(examples(open_captions(f"csv:{file}", outside=True))[0]) == 7


def test_missing_columns_and_rows_are_refused(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("image,text\na.png,b\n")
    with pytest.raises(InputError, match="no column 'caption'"):
        open_captions(f"csv:{file}")
    assert open_captions(f"csv:{file}", caption="text").length == 1
    file.write_text("image,caption\n")
    with pytest.raises(InputError, match="no examples"):
        open_captions(f"csv:{file}")


def test_parquet_reads_paths_bytes_and_mappings(tmp_path):
    import pandas

    picture(0).save(tmp_path / "0.png")
    pandas.DataFrame({
        "image": [encoded(picture(i)) for i in range(3)],
        "caption": ["zero", "one", ""], "mask": [None, encoded(mask()), None], "more": [1, 2, 3],
    }).to_parquet(tmp_path / "bytes.parquet")  # fmt: skip
    data = open_captions(f"parquet:{tmp_path / 'bytes.parquet'}")
    read = {e.id: e for e in examples(data)}
    assert [number_of(read[f"row {i}"]) for i in (0, 1)] == [0, 1]
    assert read["row 1"].hidden.sum() == 18
    assert skipped(data) == {"row 2": kinds.EMPTY_CAPTION}
    pandas.DataFrame({
        "image": [{"bytes": None, "path": "0.png"}, {"bytes": encoded(picture(5)), "path": ""},
                  {"bytes": None, "path": "../0.png"}],
        "caption": ["a", "b", "c"],
    }).to_parquet(tmp_path / "mappings.parquet")  # fmt: skip
    data = open_captions(f"parquet:{tmp_path / 'mappings.parquet'}")
    read = {e.id: e for e in examples(data)}
    assert [number_of(read[f"row {i}"]) for i in (0, 1)] == [0, 5]
    assert skipped(data) == {"row 2": kinds.UNREADABLE}


def test_damaged_parquet_is_one_sentence(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        open_captions(f"parquet:{tmp_path / 'a.parquet'}")


def test_hugging_face_data_sets_on_disk(tmp_path):
    import datasets

    features = datasets.Features(
        image=datasets.Image(), caption=datasets.List(datasets.Value("string"))
    )
    rows = datasets.Dataset.from_dict(
        {
            "image": [{"bytes": encoded(picture(i)), "path": None} for i in range(3)]
            + [{"bytes": b"broken", "path": None}],
            "caption": [["a"], ["", "b"], [], ["d"]],
        },
        features=features,
    )
    datasets.DatasetDict(train=rows).save_to_disk(tmp_path / "set")
    data = open_captions(f"hf:{tmp_path / 'set'}#train")
    read = {e.id: e for e in examples(data)}
    assert {id: (number_of(e), e.caption) for id, e in read.items()} == {
        "row 0": (0, "a"),
        "row 1": (1, "b"),
    }
    assert skipped(data) == {"row 2": kinds.EMPTY_CAPTION, "row 3": kinds.UNREADABLE}
    with pytest.raises(InputError, match="splits train"):
        open_captions(f"hf:{tmp_path / 'set'}")


class Numbers(Indexed):
    """Examples that are their own number; every ``bad``-th is unusable."""

    def __init__(self, count, bad=(), **options):
        self.bad = frozenset(bad)
        super().__init__("numbers", count, **options)

    def read(self, item):
        if item in self.bad:
            raise kinds.UnusableError(Skipped(str(item), kinds.UNREADABLE))
        return Example(str(item), picture(item), f"number {item}")


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 40), world=st.integers(1, 5), seed=st.integers(0, 9), data=st.data())
def test_processes_share_an_epoch_without_overlap_and_loss(count, world, seed, data):
    bad = data.draw(st.sets(st.integers(0, count - 1), max_size=count - 1))
    numbers = Numbers(count, bad)
    alone = [e.id for e in examples(numbers, 2, seed)]
    shares = [[e.id for e in examples(numbers, 2, seed, rank=r, world=world)] for r in range(world)]
    assert [shares[p % world][p // world] for p in range(count)] == alone
    # All usable examples come, and the unusable ones' positions are filled.
    assert {int(id) for id in alone} == set(range(count)) - bad
    assert len(alone) == count


def test_fraction_is_the_same_share_for_any_process_and_grows_with_the_fraction():
    tenth, third = (Numbers(3000, fraction=f, seed=4) for f in (0.1, 0.3))
    assert set(tenth.numbers) < set(third.numbers)
    assert 230 < len(tenth) < 370
    assert 780 < len(third) < 1020
    assert list(Numbers(3000, fraction=0.1, seed=4).numbers) == list(tenth.numbers)
    assert list(Numbers(3000, fraction=0.1, seed=5).numbers) != list(tenth.numbers)
    ranks = [{e.id for e in examples(tenth, rank=r, world=3)} for r in range(3)]
    assert set.union(*ranks) == {str(n) for n in tenth.numbers}


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, float("nan")])
def test_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(OptionError, match="above 0 and at most 1"):
        open_captions("scenes:10", fraction=fraction)


def test_fraction_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match="larger fraction"):
        open_captions("scenes:2", fraction=1e-9)


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("a cake and a birthday cake", {"cake": "cake", "birthday cake": "birthday cake"}),
        ("a birthday cake", {"birthday cake": "birthday cake"}),
        ("a red bike near a cake", {"red bike": "bicycle", "cake": "cake"}),
        ("a blue bicycle and cupcakes", {"bicycle": "bicycle"}),
    ],
)
def test_names_in_longer_names_are_not_mentioned(caption, phrases):
    places = [("cake", None, None, (0.2, 0.5)), ("birthday cake", None, None, (0.5, 0.5)),
              ("bicycle", "red", None, (0.8, 0.5))]  # fmt: skip
    scene = replace(compose_scene(places), caption=caption)
    masks = {thing.name: thing.mask for thing in scene.objects}
    got = mentioned(scene)
    assert list(got) == list(phrases)
    assert all(np.array_equal(got[words], masks[name]) for words, name in phrases.items())


def test_a_caption_that_is_no_text_is_quoted(tmp_path):
    for cell, detail in ((7, "7 is not text"), (float("nan"), ""), (None, ""), ("", "")):
        with pytest.raises(kinds.UnusableError) as caught:
            kinds.caption_of(cell, "row 1")
        assert caught.value.skipped == Skipped("row 1", kinds.EMPTY_CAPTION, detail)
