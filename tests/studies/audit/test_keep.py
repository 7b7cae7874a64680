"""Audits on disk, and the link from an explanation to the last one."""

from __future__ import annotations

import copy
import gc
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

import open_clip
import pytest
import torch

import tiny
import whyclip
from audit_toy import Toy
from whyclip.errors import OutputError
from whyclip.files import cache_folder
from whyclip.selection import DEFAULTS
from whyclip.studies.audit import Audit, audit
from whyclip.studies.audit.keep import keep


@pytest.fixture(scope="module")
def small_audit(view: whyclip.ModelView) -> Audit:
    return audit(view, Toy(4), ["grad_eclip", "contribution"], limit=4, edited=1)


def explained(view: whyclip.ModelView, **options: object) -> whyclip.Explanation:
    options = {"method": "grad_eclip", **options}
    return whyclip.explain(view, Toy(1)[0].image, ["a dog"], **options)  # type: ignore[arg-type]


def test_an_audit_is_the_same_after_saving(small_audit: Audit, tmp_path: Path) -> None:
    page = small_audit.save(tmp_path / "out")
    again = Audit.load(page.parent / "audit.json")
    assert again.to_json() == small_audit.to_json()
    # NaN is not itself, so that intervals are compared as text.
    assert str(again.findings) == str(small_audit.findings)
    assert {p.name for p in page.parent.iterdir()} >= {
        "index.html",
        "report.md",
        "findings.csv",
        "figures.csv",
        "verdicts.csv",
        "verdict-matrix.png",
        "audit.json",
    }
    rows = (page.parent / "findings.csv").read_text().splitlines()
    assert len(rows) == 1 + len(small_audit.findings)


def renamed(record: dict[str, Any], check: str = "score_gap") -> dict[str, Any]:
    """The same audit by a version that called one check otherwise."""
    text = json.dumps(record).replace(f'"{check}"', '"nobody_knows_it"')
    return dict(json.loads(text))


def test_an_audit_holds_what_its_checks_claim(small_audit: Audit) -> None:
    again = Audit.from_json(renamed(small_audit.to_json()))
    finding, before = (
        audit.finding("grad_eclip", name)
        for audit, name in ((again, "nobody_knows_it"), (small_audit, "score_gap"))
    )
    assert finding is not None
    assert before is not None
    assert finding.words == before.words
    assert again.verdict("grad_eclip", "fidelity") == small_audit.verdict("grad_eclip", "fidelity")
    assert "Score gap" in again.report().page()


def test_an_audit_of_the_first_version_loads_also_if_a_check_is_gone() -> None:
    first_version = Path(__file__).with_name("data") / "audit-version-1.json"
    record = json.loads(first_version.read_text(encoding="utf-8"))
    assert record["whyclip_audit"] == 1
    now = Audit.from_json(record)
    words = {"undecided": "inconclusive", "not measured": "not applicable"}
    verdicts = [words.get(one["verdict"], one["verdict"]) for one in record["findings"]]
    assert [finding.verdict for finding in now.findings] == verdicts
    gone = Audit.from_json(renamed(record, record["findings"][0]["check"]))
    finding, before = gone.findings[0], now.findings[0]
    assert (finding.verdict, finding.value) == (before.verdict, before.value)
    page = gone.report().page()
    assert "Nobody knows it" in page
    assert Audit.from_json(gone.to_json()).to_json() == gone.to_json()


def test_what_is_not_an_audit_is_refused(tmp_path: Path, small_audit: Audit) -> None:
    wrong = tmp_path / "audit.json"
    for content in ("{", "[]", '{"whyclip_audit": 99}', '{"whyclip_audit": 1}'):
        wrong.write_text(content)
        with pytest.raises(OutputError, match="audit"):
            Audit.load(wrong)
    with pytest.raises(OutputError, match="cannot be read"):
        Audit.load(tmp_path / "nothing.json")


def test_an_explanation_says_what_the_last_audit_found(
    view: whyclip.ModelView, small_audit: Audit, cache: Path, tmp_path: Path
) -> None:
    assert explained(view).audit is None
    path = keep(small_audit)
    link = explained(view).audit
    assert link is not None
    assert link.path == path
    assert path.is_relative_to(cache)
    assert Audit.load(link.path).to_json() == small_audit.to_json()
    for side in ("image", "text"):
        expected = small_audit.verdict("grad_eclip", "consistency", side)
        assert link.verdicts[side]["consistency"] == expected  # type: ignore[index]
    assert str(cache) not in json.dumps(str(link)), "a page that is passed on says no home"
    # Another method, other options and other weights have no audit.
    assert explained(view, method="raw_attention").audit is None
    assert explained(view, heads="single").audit is None
    # Maps and words of two methods have the audits of both, each of its own side.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DEFAULTS, "image", ("grad_eclip",))  # type: ignore[arg-type]
        default = explained(view, method=None).audit
    assert default is not None
    assert set(default.verdicts) == {"image"}
    assert default.verdicts["image"] == link.verdicts["image"]
    assert all(title.endswith("(image)") for title in default.failed)
    other = whyclip.wrap(*tiny.openclip_parts(seed=1))
    assert explained(other).audit is None
    # The same weights in another place are the same model.
    same = whyclip.wrap(*tiny.openclip_parts())
    one = explained(same)
    assert one.audit == link
    # A copy finds it, too; in another process the model is not there.
    assert copy.deepcopy(one).audits.find({"image": ("grad_eclip", one.options)}) == link
    assert (
        pickle.loads(pickle.dumps(one.audits)).find({"image": ("grad_eclip", one.options)}) is None
    )


def test_explaining_reads_nothing_of_the_cache(
    view: whyclip.ModelView, small_audit: Audit, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(small_audit)
    reads: list[Path] = []

    def watched() -> Path:
        reads.append(cache)
        return cache

    monkeypatch.setattr("whyclip.audit_index.cache_folder", watched)
    one = explained(view)
    assert not reads
    assert one.audit is not None
    assert reads
    # The explanation does not keep its model alive, and says nothing of an audit without it.
    alone = whyclip.wrap(*tiny.openclip_parts())
    gone, one = ref(alone), explained(alone)
    del alone
    gc.collect()
    assert gone() is None
    assert one.audit is None


def test_the_last_audit_counts(view: whyclip.ModelView, small_audit: Audit, cache: Path) -> None:
    keep(small_audit)
    later = replace(small_audit, date="2099-01-01T00:00:00Z", methods={
        "grad_eclip": small_audit.methods["grad_eclip"]
    })  # fmt: skip
    keep(later)
    link = explained(view).audit
    assert link is not None
    assert link.date == "2099-01-01T00:00:00Z"
    earlier = explained(view, method="contribution").audit
    assert earlier is not None
    assert earlier.date == small_audit.date


def test_the_link_is_saved_shown_and_loaded(
    view: whyclip.ModelView, small_audit: Audit, cache: Path, tmp_path: Path
) -> None:
    from rich.console import Console

    from whyclip.render.terminal import summary

    keep(small_audit)
    one = explained(view)
    for ending in (".json", ".npz", ".safetensors"):
        again = whyclip.load_explanation(one.save(tmp_path / f"e{ending}"))
        assert again.audit == one.audit
        assert again.certificate == one.certificate
    page = one.save(tmp_path / "e.html").read_text(encoding="utf-8")
    assert '"audit":{"date"' in page
    assert f"audit of {small_audit.date[:10]}" in page
    console = Console(width=400, record=True, file=(tmp_path / "out").open("w"))
    console.print(summary(one))
    assert f"audit of {small_audit.date[:10]} (toy, n = 4)" in console.export_text()


def test_explanations_of_before_there_were_audits_are_read(
    view: whyclip.ModelView, cache: Path, tmp_path: Path
) -> None:
    path = explained(view).save(tmp_path / "e.json")
    record = json.loads(path.read_text())
    del record["certificate"]["audit"]
    path.write_text(json.dumps(record))
    assert whyclip.load_explanation(path).audit is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', "null"])
def test_a_broken_index_is_no_audit(
    view: whyclip.ModelView, small_audit: Audit, cache: Path, content: str
) -> None:
    path = keep(small_audit)
    (path.parent / "index.json").write_text(content)
    assert explained(view).audit is None
    keep(small_audit)
    assert explained(view).audit is not None


def test_a_fingerprint_tells_weights_and_modules_and_nothing_else() -> None:
    model, *parts = tiny.openclip_parts()
    one = whyclip.wrap(model, *parts, name="one").fingerprint
    assert one == whyclip.wrap(*tiny.openclip_parts(), name="other").fingerprint
    assert len(one) == 16
    quick, *_ = tiny.openclip_parts()
    quick.visual.transformer.resblocks[0].mlp.gelu = open_clip.transformer.QuickGELU().eval()
    assert whyclip.wrap(quick, *parts, name="one").fingerprint != one
    with torch.no_grad():
        for parameter in model.visual.parameters():
            parameter.mul_(1 + 1e-4)
    assert whyclip.wrap(model, *parts).fingerprint != one


def test_the_cache_lies_where_the_variable_says(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("WHYCLIP_CACHE")
    assert cache_folder().is_absolute()
    assert "whyclip" in cache_folder().parts
