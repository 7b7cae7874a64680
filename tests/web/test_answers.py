"""What the page answers is what whyclip.explain gives, from forward passes that are kept."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import families
import whyclip
from web_site import EXAMPLE, Site, png, serving
from whyclip import encoded_prompts, image_pass
from whyclip.errors import InputError, OptionError
from whyclip.forward.run import run_tower
from whyclip.models import ModelView
from whyclip.models.domain import Domain
from whyclip.storage import from_json
from whyclip.web.answers import Answers
from whyclip.web.app import WebApp
from whyclip.web.examples import draw_examples
from whyclip.web.limits import Limits
from whyclip.web.request import WebRequest, read_request
from whyclip.web.state import Kept

PROMPTS = ("a dog", "a red car")


@pytest.fixture(scope="module")
def answers(view: ModelView) -> Answers:
    kept = Kept(view, Limits())
    kept.examples.update(draw_examples(Limits()))
    return Answers(kept)


def compare(entry: dict[str, Any], expected: whyclip.Explanation) -> None:
    explanation = from_json(json.loads(json.dumps(entry["explanation"])))
    assert explanation.prompts == expected.prompts
    assert explanation.method == expected.method
    assert explanation.against == expected.against
    assert explanation.certificate.verdict == expected.certificate.verdict
    assert explanation.certificate.checked == expected.certificate.checked
    torch.testing.assert_close(explanation.scores, expected.scores, atol=1e-6, rtol=1e-5)
    if expected.maps is None:
        assert explanation.maps is None
    else:
        assert explanation.maps is not None
        torch.testing.assert_close(explanation.maps, expected.maps, atol=1e-6, rtol=1e-4)
    for ours, theirs in zip(explanation.words, expected.words, strict=True):
        assert [w.text for w in ours] == [w.text for w in theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert a.relevance == pytest.approx(b.relevance, abs=1e-6, rel=1e-4)


@pytest.mark.parametrize("method", ["default", "grad_eclip", "game", "clip_surgery", "rollout"])
@pytest.mark.parametrize("geometry", ["model", "keep", "pad"])
@pytest.mark.parametrize("against", [(), ("a cat",)])
def test_an_answer_is_what_explain_gives(
    answers: Answers, view: ModelView, method: str, geometry: Any, against: tuple[str, ...]
) -> None:
    request = WebRequest("wide", PROMPTS, against, (method,), geometry=geometry)
    [entry] = answers.explain(request)["entries"]
    image = answers.kept.require("wide").open()
    name = None if method == "default" else method
    expected = whyclip.explain(
        view, image, list(PROMPTS), method=name, against=list(against) or None, geometry=geometry
    )
    compare(entry, expected)


def test_one_side_alone(answers: Answers, view: ModelView) -> None:
    for side in ("image", "text"):
        [entry] = answers.explain(WebRequest(EXAMPLE, PROMPTS, sides=(side,)))["entries"]
        image = answers.kept.require(EXAMPLE).open()
        compare(entry, whyclip.explain(view, image, list(PROMPTS), sides=(side,)))


def test_an_encoder_runs_again_only_for_what_is_new(
    view: ModelView, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {"image": 0, "text": 0}

    def counted(tower: Any, *given: Any, **more: Any) -> Any:
        runs[tower.side] += 1
        return run_tower(tower, *given, **more)

    for module in (image_pass, encoded_prompts):
        monkeypatch.setattr(module, "run_tower", counted)
    kept = Kept(view, Limits())
    kept.examples.update(draw_examples(Limits()))
    answers = Answers(kept)
    for method in ("default", "grad_eclip", "game", "rollout", "maskclip", "legrad"):
        answers.explain(WebRequest(EXAMPLE, PROMPTS, methods=(method,)))
        answers.explain(WebRequest(EXAMPLE, PROMPTS, methods=(method,), sides=("image",)))
    assert runs == {"image": 1, "text": 1}
    answers.explain(WebRequest(EXAMPLE, ("a cat",)))
    assert runs == {"image": 1, "text": 2}
    # Another input mode is another image for the model; it is compared with the model's own one.
    for geometry in ("pad", "model", "pad"):
        answers.explain(WebRequest(EXAMPLE, PROMPTS, geometry=geometry))
    once = runs["image"]
    assert once > 1
    answers.explain(WebRequest(EXAMPLE, ("a bird",), geometry="pad"))
    assert runs == {"image": once, "text": 3}
    assert kept.runs == {"image": 2, "text": 3}
    answers.explain(WebRequest("wide", PROMPTS))
    assert runs == {"image": once + 1, "text": 3}


def test_passes_stay_within_their_budget(view: ModelView) -> None:
    kept = Kept(view, Limits(kept_passes=4_000_000))
    kept.examples.update(draw_examples(Limits()))
    answers = Answers(kept)
    for name in kept.examples:
        for geometry in ("model", "pad"):
            answers.explain(WebRequest(name, PROMPTS, geometry=geometry))
            assert kept.passes.weight <= 4_000_000 or len(kept.passes) == 1
    assert 1 <= len(kept.passes) < 8
    # The largest part of a pass, its blocks' inputs, is counted: 14 × 14 patches and CLS in fp32.
    tower = view.image
    tokens = tower.native_grid[0] * tower.native_grid[1] + 1
    kept_pass = kept.passes.get((name, "pad"))
    assert kept_pass is not None
    width = next(iter(kept_pass.images.forward_pass.states.values())).shape[-1]
    assert kept.passes.weight >= len(tower.blocks) * tokens * width * 4


def test_no_graph_is_kept_between_requests(answers: Answers) -> None:
    answers.explain(WebRequest(EXAMPLE, PROMPTS))
    kept = answers.kept.passes.get((EXAMPLE, "model"))
    assert kept is not None
    assert not kept.images.forward_pass._readouts
    assert not any(state.requires_grad for state in kept.images.forward_pass.states.values())


def test_whether_an_image_is_unlike_the_training_is_measured_once(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = 0
    plain = Domain.strangeness

    def counted(domain: Domain, pixels: Tensor) -> Tensor:
        nonlocal measured
        measured += len(pixels)
        return plain(domain, pixels) + 100

    monkeypatch.setattr(Domain, "strangeness", counted)
    # An image of its own, so that no other test has kept it.
    name = answers.kept.add(png((90, 80), "olive")).id
    for prompt in ("a dog", "a cat"):
        [entry] = answers.explain(WebRequest(name, (prompt,)))["entries"]
        assert any("unlike the emoji scenes" in note for note in entry["explanation"]["notes"])
    assert measured == 1


def test_two_methods_side_by_side_share_image_and_prompts(answers: Answers) -> None:
    entries = answers.explain(WebRequest(EXAMPLE, PROMPTS, methods=("default", "game")))["entries"]
    assert [entry["method"] for entry in entries] == ["decomposition", "game"]
    first, second = (entry["explanation"]["prompts"] for entry in entries)
    assert [p["prompt"] for p in first] == [p["prompt"] for p in second] == list(PROMPTS)
    assert first[0]["map"]["values"] != second[0]["map"]["values"]


def test_the_table_is_that_of_interaction(site: Site, view: ModelView) -> None:
    prompt = "a dog next to a red car"
    table = site.post("/api/table", {"image": EXAMPLE, "prompts": [prompt]}).news[-1]["result"]
    expected = whyclip.interaction(view, site.app.kept.require(EXAMPLE).open(), prompt)
    assert [word["word"] for word in table["words"]] == [w.text for w in expected.words]
    assert [prompt[w["start"] : w["end"]] for w in table["words"]] == prompt.split()
    values = torch.tensor(table["values"]).reshape(len(expected.words), *table["grid"])
    torch.testing.assert_close(values, expected.matrix, atol=1e-6, rtol=1e-4)
    assert table["box"] == list(expected.geometry.box)


def test_a_reference_says_whether_a_score_is_a_match(view: ModelView) -> None:
    reference = whyclip.reference(view, [Image.new("RGB", (64, 64), c) for c in ("red", "blue")])
    request = {"image": EXAMPLE, "prompts": list(PROMPTS)}
    with serving(view, reference=reference) as site:
        [entry] = site.post("/api/explain", request).news[-1]["result"]["entries"]
        image = site.app.kept.require(EXAMPLE).open()
        padded = site.post("/api/explain", {**request, "geometry": "pad"}).news[-1]["result"]
    expected = whyclip.explain(view, image, list(PROMPTS), reference=reference).matches
    shown = [prompt["match"] for prompt in entry["explanation"]["prompts"]]
    assert [match["sentence"] for match in shown] == [match.sentence for match in expected]
    assert "match" not in padded["entries"][0]["explanation"]["prompts"][0]


def test_a_reference_of_another_model_is_refused(view: ModelView) -> None:
    reference = whyclip.reference(view, [Image.new("RGB", (64, 64))], ["a dog"])
    other = whyclip.wrap(*families.SMALL["siglip"]())
    with pytest.raises(OptionError, match="other weights"), serving(other, reference=reference):
        pass


def test_without_a_reference_there_is_no_match(site: Site) -> None:
    request = {"image": EXAMPLE, "prompts": ["a dog"]}
    [entry] = site.post("/api/explain", request).news[-1]["result"]["entries"]
    assert "match" not in entry["explanation"]["prompts"][0]


@pytest.mark.parametrize("methods", [["default"], ["grad_eclip", "game"]])
def test_what_is_shown_can_be_downloaded(site: Site, methods: list[str]) -> None:
    request = {"image": EXAMPLE, "prompts": list(PROMPTS), "methods": methods}
    kinds = ("html", "png", "svg", "json")
    files = {kind: site.post(f"/api/download/{kind}", request) for kind in kinds}
    for kind, file in files.items():
        assert file.status == 200
        assert file.headers["content-disposition"] == f'attachment; filename="whyclip.{kind}"'
    assert b"a red car" in files["html"].body
    assert Image.open(BytesIO(files["png"].body)).format == "PNG"
    assert b"<svg" in files["svg"].body
    record = files["json"].json
    maps = [record] if len(methods) == 1 else list(record.values())
    assert [len(from_json(one)) for one in maps] == [2] * len(methods)


def test_an_unknown_kind_of_file_is_a_sentence(site: Site) -> None:
    answer = site.post("/api/download/exe", {"image": EXAMPLE, "prompts": ["a dog"]})
    assert answer.status == 400
    assert "exe" in answer.json["error"]


def ask(**parts: Any) -> WebRequest:
    given = {"image": "x", "prompts": ["a dog"], **parts}
    return read_request(json.dumps(given).encode(), Limits(), ("grad_eclip", "game"))


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"image": ""}, "no image"),
        ({"image": 3}, "no image"),
        ({"prompts": []}, "at least one"),
        ({"prompts": ["  "]}, "at least one"),
        ({"prompts": "a dog"}, "list of strings"),
        ({"prompts": ["a"] * 17}, "at most 16"),
        ({"prompts": ["a" * 301]}, "301 characters"),
        ({"against": ["a"] * 9}, "at most 8"),
        ({"methods": ["grad_eclip:heads=single"]}, "unknown method"),
        ({"methods": ["game", "game"]}, "twice"),
        ({"methods": ["game", "grad_eclip", "default"]}, "at most 2"),
        ({"sides": ["back"]}, "unknown side"),
        ({"geometry": "round"}, "unknown geometry"),
    ],
)
def test_a_request_out_of_bounds_is_a_sentence(parts: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        ask(**parts)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 60_000, b'"a"'])
def test_a_body_that_is_no_object_is_a_sentence(site: Site, body: bytes) -> None:
    answer = site.post("/api/explain", body)
    assert answer.status == 400
    assert "JSON object" in answer.json["error"]


def test_a_long_body_is_refused(site: Site) -> None:
    answer = site.post("/api/explain", b"{" + b" " * 70_000 + b"}")
    assert answer.status == 413


def test_blanks_around_prompts_do_not_count() -> None:
    assert ask(prompts=[" a dog  "]).prompts == ("a dog",)


def test_what_the_model_does_not_see_of_a_prompt_is_noted(answers: Answers) -> None:
    long = WebRequest(EXAMPLE, ("a dog " * 40,))
    for _ in range(2):  # also from the kept prompts
        [entry] = answers.explain(long)["entries"]
        assert any("; ignored: " in note for note in entry["explanation"]["notes"])
    [entry] = answers.explain(WebRequest(EXAMPLE, ("a dog",)))["entries"]
    assert entry["explanation"]["notes"] == []


@pytest.mark.parametrize("family", ["siglip", "vit-average", "coca"])
def test_other_models_are_answered(family: str) -> None:
    # vit-average has no attention to read: its defaults are black-box methods, without a table.
    view = whyclip.wrap(*families.SMALL[family]())
    app = WebApp(view)
    app.kept.examples.update(draw_examples(Limits()))
    opaque = bool(view.image.opaque)
    about = app._about
    assert about["table"] is not opaque
    assert about["slowDefault"] is opaque
    assert ("keep" in about["geometries"]) is not opaque
    [entry] = app.answers.explain(WebRequest("wide", PROMPTS))["entries"]
    compare(entry, whyclip.explain(view, app.kept.require("wide").open(), list(PROMPTS)))
