"""Rows are what `explain` gives, whatever the source, the workers and the number types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import torch

import whyclip
from bulk_runs import BROKEN, PROMPTS, encoded, image_folder, names, noise, rows, run, view
from whyclip.bulk.decode import coverage
from whyclip.bulk.schema import inside_share
from whyclip.errors import OptionError, OutputError
from whyclip.types import Box, Geometry


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("source") / "images")


@pytest.fixture(scope="module")
def result(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(images, tmp_path_factory.mktemp("out"))


def close(ours: whyclip.Explanation, direct: whyclip.Explanation, atol: float = 1e-5) -> None:
    """Batches of another size change the last bits, and nothing else."""
    for name in (
        "model",
        "method",
        "methods",
        "prompts",
        "geometry",
        "options",
        "against",
        "notes",
    ):
        assert getattr(ours, name) == getattr(direct, name), name
    torch.testing.assert_close(ours.scores, direct.scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.maps, direct.maps, rtol=0, atol=atol)
    for a, b in zip(ours.words, direct.words, strict=True):
        assert [w.text for w in a] == [w.text for w in b]
        assert [w.relevance for w in a] == pytest.approx([w.relevance for w in b], abs=1e-5)
        assert [(w.start, w.end, w.template) for w in a] == [
            (w.start, w.end, w.template) for w in b
        ]
    a, b = ours.certificate, direct.certificate
    assert a.score_model == pytest.approx(b.score_model, abs=1e-5)
    assert a.score_check == b.score_check
    assert a.changes or a.score_check == "passed"
    assert (a.scope, a.changes, a.precision) == (b.scope, b.changes, b.precision)
    assert (a.checked["image"], a.tolerance) == (b.checked["image"], b.tolerance)
    assert a.diagnostics.keys() == b.diagnostics.keys()
    for pair, expected in zip(ours.contrast, direct.contrast, strict=True):
        assert pair == pytest.approx(expected, abs=1e-5)


def test_each_row_is_what_explain_gives(images: Path, result: Any) -> None:
    ids = names(images)
    expected = [(id, p) for id in ids for p in (PROMPTS if f"{BROKEN:03d}" not in id else [None])]
    table = rows(result)
    assert [(row["id"], row["prompt"]) for row in table] == expected
    for index, (id, prompt) in enumerate(expected):
        if prompt is not None:
            close(result[index], whyclip.explain(view(), images / id, [prompt]))
    assert result.complete
    assert len(result) == len(expected)


def test_a_broken_image_is_a_row_with_its_error(result: Any) -> None:
    [(id, error)] = result.errors()
    assert id == f"{BROKEN:03d}.png"
    assert error
    index = [row["id"] for row in rows(result)].index(id)
    row = result.row(index)
    assert row["map"] is None
    assert row["score"] is None
    with pytest.raises(OutputError, match=id):
        result.explanation(index)


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_are_the_same_for_any_number_of_workers(
    images: Path, result: Any, workers: int, tmp_path: Path
) -> None:
    assert rows(run(images, tmp_path, workers=workers)) == rows(result)


def test_arrow_types(result: Any) -> None:
    columns = result.dataset.schema
    assert columns.field("map").type == pa.list_(pa.float32(), 16)
    assert columns.field("box").type == pa.list_(pa.float64(), 4)
    assert columns.field("grid").type == pa.list_(pa.int32(), 2)
    assert pa.types.is_list(columns.field("words").type)
    assert pa.types.is_struct(columns.field("certificate").type)
    assert columns.field("percentile_among_images").type == pa.float32()


def test_half_precision_keeps_maps_to_a_thousandth_of_their_peak(
    images: Path, result: Any, tmp_path: Path
) -> None:
    half = run(images, tmp_path, map_type="float16")
    assert half.dataset.schema.field("map").type == pa.list_(pa.float16(), 16)
    peak = result[0].maps.abs().max()
    assert (half[0].maps - result[0].maps).abs().max() <= peak / 1000
    assert torch.equal(half[0].scores, result[0].scores)


def test_duckdb_reads_the_files_as_they_are(result: Any) -> None:
    files = str(result.folder.parts / "*.parquet")
    [peak] = duckdb.sql(
        f"select id, prompt, list_max(map) * map_scale from read_parquet('{files}') "
        "where error is null order by number, prompt_number limit 1"
    ).fetchall()
    ex = result[0]
    assert ex.maps is not None
    assert peak == (rows(result)[0]["id"], PROMPTS[0], pytest.approx(float(ex.maps.max())))


def test_against_and_ensembles(images: Path, tmp_path: Path) -> None:
    ensemble = [("a dog", "a photo of a dog"), "a red car"]
    result = whyclip.explain_bulk(
        view(), str(images), ensemble, out=tmp_path, against=["a cat"], workers=0, limit=2
    )
    direct = whyclip.explain(view(), images / names(images)[1], ensemble, against=["a cat"])
    assert len(result) == 4
    close(result[2], direct[0])
    close(result[3], direct[1])


def test_percentiles_are_those_of_an_explanation(images: Path, tmp_path: Path) -> None:
    reference = whyclip.reference(
        view(), [noise(number) for number in range(50, 62)], prompts=["a cat", "a tree", "a boat"]
    )
    saved = reference.save(tmp_path / "noise.npz")
    table = tmp_path / "own.csv"
    texts = ["a dog", "a red car", "a dog", "a red car"]
    lines = [f"{images / id},{text}" for id, text in zip(names(images), texts, strict=False)]
    table.write_text("\n".join(["image,text", *lines]) + "\n", encoding="utf-8")
    common = run(images, tmp_path / "common", reference=saved, limit=4)
    table_run = whyclip.explain_bulk(
        view(), str(table), prompt_column="text", out=tmp_path / "own", workers=0, outside=True,
        reference=reference,
    )  # fmt: skip
    for bulk_run in (common, table_run):
        for row in rows(bulk_run):
            image = next(images.rglob(Path(row["id"]).name))
            [match] = whyclip.explain(view(), image, row["prompt"], reference=reference).matches
            places = [match.among_prompts, match.among_images]
            columns = ("percentile_among_prompts", "percentile_among_images")
            assert [row[name] for name in columns] == pytest.approx(
                [place.percentile for place in places]
            )
            assert row["evidence"] == match.evidence
    with pytest.raises(OutputError, match="reference"):
        run(images, tmp_path / "common", limit=4)
    assert rows(run(images, tmp_path / "none", limit=1))[0]["evidence"] is None


def test_maps_of_other_shapes_and_one_side(images: Path, tmp_path: Path) -> None:
    keep = run(images, tmp_path / "keep", geometry="keep", sides=("image",), limit=4)
    assert pa.types.is_list(keep.dataset.schema.field("map").type)
    assert len({tuple(row["grid"]) for row in rows(keep)}) > 1
    for index in (0, 3, 5):
        row = keep.row(index)
        direct = whyclip.explain(
            view(), images / row["id"], [row["prompt"]], geometry="keep", sides=("image",)
        )
        close(keep[index], direct)
    words = run(images, tmp_path / "words", sides=("text",), limit=1)
    assert words[0].maps is None
    direct = whyclip.explain(view(), images / names(images)[0], PROMPTS[:1], sides=("text",))
    assert [w.relevance for w in words[0].words[0]] == pytest.approx(
        [w.relevance for w in direct.words[0]], abs=1e-5
    )


def test_the_predicted_classes_are_the_best_of_all(images: Path, tmp_path: Path) -> None:
    classes = ["a dog", "a red car", "an apple", "a tree", "a blue house"]
    result = whyclip.explain_bulk(
        view(), str(images), out=tmp_path, classes=classes, top=2, workers=0, limit=4, batch_size=3
    )
    for number, id in enumerate(names(images)[:4]):
        direct = whyclip.explain(view(), images / id, classes)
        best = sorted(zip(direct.scores.tolist(), classes, strict=True), reverse=True)[:2]
        chosen = rows(result)[2 * number : 2 * number + 2]
        assert [row["prompt"] for row in chosen] == [name for _, name in best]
        assert [row["score"] for row in chosen] == pytest.approx([s for s, _ in best], abs=1e-5)
        place = classes.index(chosen[1]["prompt"])
        torch.testing.assert_close(
            result[2 * number + 1].maps[0], direct.maps[place], atol=1e-5, rtol=0
        )


def test_a_dataset_brings_its_prompts_and_masks(tmp_path: Path) -> None:
    result = whyclip.explain_bulk(
        view(), "scenes:3", out=tmp_path, workers=0, method="grad_eclip:relu=false"
    )
    dataset = whyclip.open_dataset("scenes:3")
    expected = [(n, p) for n in range(3) for p in dataset[n].prompts]
    table = rows(result)
    assert [(row["number"], row["prompt"]) for row in table] == expected
    shares = []
    for row, ex in zip(table, map(result.explanation, range(len(table))), strict=True):
        sample = dataset[row["number"]]
        mask = sample.masks[sample.labels[row["prompt_number"]]]
        heat = ex.heatmap(interpolation="nearest")[0].nan_to_num(0).clamp_min(0).numpy()
        if not heat.any():
            assert row["inside"] is None
            continue
        shares.append((heat * mask).sum() / heat.sum())
        assert row["inside"] == pytest.approx(shares[-1], abs=0.02)
    assert len(shares) > 2
    assert max(shares) > 0.05


def test_coverage_counts_pixels() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((12, 20)) > 0.4
    # The grid covers the middle 12 x 12 pixels.
    geometry = Geometry("model", 20, 12, Box(4, 0, 16, 12))
    plain = [[mask[r : r + 4, c : c + 4].mean() for c in (4, 8, 12)] for r in (0, 4, 8)]
    np.testing.assert_allclose(coverage(mask, geometry, (3, 3)), plain, atol=1e-6)


def test_inside_share_is_the_positive_relevance_on_the_object() -> None:
    values = np.array([[1.0, -5.0], [3.0, 0.0]])
    half = np.array([[1.0, 1.0], [0.5, 0.0]])
    assert inside_share(values, (half,), 1) == pytest.approx((1 + 1.5) / 4)
    assert inside_share(values, (), 0) is None
    assert inside_share(values, (None, half), 0) is None
    assert inside_share(-np.abs(values), (half,), 0) is None


def test_arguments_that_do_not_fit(images: Path, tmp_path: Path) -> None:
    for options, message in (
        ({"batch_size": 0}, "batch_size=0"),
        ({"map_type": "float8"}, "float8"),
        ({"prompt_column": "text"}, "text"),
    ):
        with pytest.raises(OptionError, match=message):
            run(images, tmp_path, **options)
    with pytest.raises(OptionError, match="prompts"):
        whyclip.explain_bulk(view(), str(images), out=tmp_path)
    with pytest.raises(OptionError, match="top=3"):
        whyclip.explain_bulk(view(), str(images), classes=["a", "b"], top=3, out=tmp_path)
    assert not list(tmp_path.iterdir())
    assert encoded(1) != encoded(2)
    assert noise(1).size != noise(2).size
