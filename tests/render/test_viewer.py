"""The viewer in a real browser: a probe appended to the page acts on it and reports back."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import torch
from PIL import Image

from inks import plainly
from whyclip.render import fragment, page
from whyclip.render.colour import AGAINST, FOR, Scale, hexadecimal
from whyclip.render.grey import grey
from whyclip.render.overlay import overlay
from whyclip.render.reading import map_scales, patches_on
from whyclip.storage import to_json
from whyclip.types import Box, Word

pytestmark = pytest.mark.browser


def test_the_hot_patch_is_hot_and_the_rest_is_grey(make, probe):
    maps = torch.zeros(1, 6, 8)
    maps[0, 1, 6] = 0.02
    answer = probe(
        page([make(("a red disc",), maps=maps)]),
        """const c = $(".stage.large canvas");
        return { hot: pixel(c, 6.5 / 8, 1.5 / 6), near: pixel(c, 6 / 8, 1.5 / 6),
                 far: pixel(c, 0.2, 0.8), label: c.getAttribute("aria-label") };""",
    )
    red, green, blue, opaque = answer["hot"]
    assert opaque == 255
    assert red > 230
    assert 120 < green < 250
    assert blue < 180  # the bright yellow end of the inks
    assert np.ptp(answer["near"][:3]) > 80
    assert np.ptp(answer["far"][:3]) == 0
    assert answer["label"] == "Heat map for “a red disc”, highest at the top right"


def sampled(count=23):
    """JavaScript that reads a canvas at a grid of places."""
    return f"""(c) => {{ const out = [];
      for (let y = 0; y < {count}; y++) for (let x = 0; x < {count}; x++) {{
        const [u, v] = [(x + 0.5) / {count}, (y + 0.5) / {count}];
        out.push([Math.floor(u * c.width), Math.floor(v * c.height), ...pixel(c, u, v)]);
      }}
      return {{ out, width: c.width, height: c.height }}; }}"""


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("contour", [False, True])
def test_the_canvas_has_the_pixels_that_python_draws(make, probe, signed, exact, contour):
    # Flat parts of an image are the same however it is resized and compressed.
    explanation = make(
        ("a red disc",), size=(720, 540), box=Box(40, -20, 700, 500), grid=(5, 7), signed=signed
    )
    answer = probe(
        page([explanation]),
        f"""for (const name of {json.dumps(["exact"] * exact + ["contour"] * contour)})
          $(`input[name=${{name}}]`).click();
        return ({sampled()})($(".stage.large canvas.heat"));""",
    )
    assert (answer["width"], answer["height"]) == (720, 540)
    how = "nearest" if exact else "catmull-rom"
    heat = explanation.heatmap(interpolation=how)[0].double().numpy()
    drawn = overlay(explanation.image, heat, contour=contour)
    drawn = np.asarray(drawn, dtype=float)
    coloured, unseen = 0, 0
    for x, y, *rgb, alpha in answer["out"]:
        if np.isnan(heat[y, x]):
            assert alpha == 0
            unseen += 1
            continue
        assert rgb == pytest.approx(drawn[y, x], abs=3)
        coloured += np.ptp(rgb) > 40
    assert coloured > 10
    assert unseen > 10


def test_the_grey_of_a_photograph_agrees_with_python(make, probe):
    noise = np.random.default_rng(0).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((720, 540), Image.Resampling.BICUBIC)
    flat = make(("a dog",), size=(720, 540), image=image, maps=torch.zeros(1, 2, 2))
    answer = probe(page([flat]), f"return ({sampled()})($('.stage.large canvas.heat'));")
    expected = grey(image, 720, 540)
    for x, y, red, green, blue, _ in answer["out"]:
        assert red == green == blue
        assert red == pytest.approx(13 + (128 - 13) * expected[y, x], abs=6)  # the page has a JPEG


def test_a_page_without_image_has_the_same_grey_as_a_figure(make, probe):
    answer = probe(
        page([make(("a dog",), with_image=False, maps=torch.zeros(1, 2, 2))]),
        """const at = pixel($(".stage.large canvas"), 0.5, 0.5);
        return { at, beside: all(".beside").length };""",
    )
    blank = np.asarray(overlay(None, np.zeros((2, 2))))[0, 0].tolist()
    assert answer == {"at": [*blank, 255], "beside": 0, "problems": []}


def test_the_original_stands_beside_the_heat_and_can_take_its_place(make, probe):
    answer = probe(
        page([make(box=Box(40, 0, 280, 240), grid=(7, 7))]),
        """const beside = $(".stage.beside img"), heat = $(".stage.large canvas.heat");
        const at = (node) => node.getBoundingClientRect();
        const read = () => [heat, $(".stage.large .unseen")].map(
          (node) => getComputedStyle(node).visibility);
        const before = read();
        $("input[name=original]").click();
        return { left: at(beside).right <= at(heat).left, same: at(beside).width - at(heat).width,
          before, after: read(), under: heat.previousElementSibling.tagName };""",
    )
    assert answer["left"]
    assert abs(answer["same"]) < 1
    assert answer["before"] == ["visible", "visible"]
    assert answer["after"] == ["hidden", "hidden"]
    assert answer["under"] == "IMG"


def test_unseen_strips_cover_what_lies_outside_of_the_box(make, probe):
    answer = probe(
        page([make(("a dog",), box=Box(40, 0, 280, 240), grid=(7, 7))]),
        """return { strips: all(".stage.large .unseen").map((s) =>
          [s.style.left, s.style.top, s.style.width, s.style.height]) };""",
    )
    assert answer["strips"] == [["0%", "0%", "12.5%", "100%"], ["87.5%", "0%", "12.5%", "100%"]]


def test_words_take_the_colour_of_their_sign_at_the_right_place(make, probe):
    prompt = "🎈 a 🎈 red balloon"  # characters outside of the first plane come before the words
    answer = probe(
        page([make((prompt,))]),
        """return { text: $("h1").innerText, marks: all("h1 mark").map((m) => [
          m.firstChild.textContent, m.className, m.dataset.value,
          getComputedStyle(m).backgroundColor, getComputedStyle(m).textDecorationLine]) };""",
    )
    colours = {}
    for word, kind, value, colour, line in answer["marks"]:
        numbers = [float(v) for v in re.findall(r"[\d.]+", colour.replace("srgb", ""))]
        unit = 1 if "srgb" in colour else 255
        hue = hexadecimal(number / unit for number in numbers[:3])
        colours[word] = (kind, value, hue, numbers[3], line)
    assert colours == {
        "a": ("for", "+0.04 for", FOR, pytest.approx(0.75), "none"),
        "red": ("against", "−0.02 against", AGAINST, pytest.approx(0.38), "underline"),
        "balloon": ("for", "+0.02 for", FOR, pytest.approx(0.38), "none"),
    }


def test_an_attack_in_every_text_stays_text(make, probe):
    attack = "</script><img src=x onerror=\"problems.push('run')\"><b>bold</b>"
    explanation = make(
        (attack, (attack, attack)),
        model=attack,
        method=attack,
        changes=(attack,),
        options={attack: attack},
    )
    answer = probe(
        page([explanation, make((attack, "x"), method="other" + attack)]),
        """const bad = () => all("img:not([src^='data:']), b:not(.match b), [onerror]").length;
        const before = bad();
        all(".prompts input")[1].click(); all("[role=tab]")[1].click();
        await new Promise((done) => setTimeout(done, 300));
        return { before, after: bad(), title: document.title,
                 text: $(".prompts .text").textContent };""",
    )
    assert (answer["before"], answer["after"]) == (0, 0)
    assert answer["text"] == attack
    assert answer["title"].startswith(attack)


def test_choosing_a_prompt_by_keyboard_or_picture_changes_what_is_shown(make, probe):
    answer = probe(
        page([make(("one dog", "two cats"))]),
        """const shown = () => $("h1").innerText.slice(0, 3);
        const states = [shown()];
        const radio = all(".prompts input")[1]; radio.focus(); radio.click();
        states.push(shown());
        const kept = document.activeElement === all(".prompts input")[1];
        all(".multiples button")[0].click(); states.push(shown());
        return { states, kept };""",
    )
    assert answer["states"] == ["one", "two", "one"]
    assert answer["kept"]


def test_the_patch_under_pointer_and_arrow_keys_is_read_out(make, probe):
    maps = torch.arange(48.0).reshape(1, 6, 8)
    answer = probe(
        page([make(("a dog",), maps=maps)]),
        """const stage = $(".stage.large"), area = stage.getBoundingClientRect();
        const at = (x, y) => stage.dispatchEvent(new PointerEvent("pointermove",
          { clientX: area.left + x * area.width, clientY: area.top + y * area.height }));
        const read = () => $(".readout").textContent;
        at(0.95, 0.1); const pointed = read();
        stage.focus();
        stage.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown" }));
        return { pointed, moved: read(), left: $(".cursor").style.left };""",
    )
    assert answer["pointed"] == "Row 1, column 8: +7, 15 % of the peak"
    assert answer["moved"] == "Row 2, column 8: +15, 32 % of the peak"
    assert answer["left"] == "87.5%"


BESIDE = Box(-80, 0, 400, 240)  # of 8 columns the first and the last are padding


def test_scales_and_patches_on_the_picture_are_those_that_python_computes(make, probe):
    boxes = [BESIDE, Box(-60, 0, 420, 240), Box(40, -100, 280, 340), Box(0, 0, 320, 240)]
    maps = [(torch.arange(96.0).reshape(2, 6, 8) - shift) ** 3 for shift in (0, 7.5, 90)]
    made = [make(method=f"{i}", box=b, maps=m) for i, b in enumerate(boxes) for m in maps]
    # A rounding error of the box, at the edge of the picture that is the edge of a patch.
    thin = {"size": (460, 345), "box": Box(0, -57.5, 460, 402.5 - 1e-13)}
    made.append(make(("a dog",), maps=torch.arange(256.0).reshape(1, 16, 16), **thin))
    heat = (files("whyclip.render") / "viewer" / "heat.js").read_text(encoding="utf-8")
    heat = heat.replace("export ", "")  # a module for the web page, a plain script here
    result = probe(
        f"<!doctype html><main></main><script>{heat}</script>",
        f"""return {{ all: {json.dumps([to_json(one) for one in made])}"""
        """.map(({ prompts, image }) => {
          const maps = prompts.map((p) => p.map);
          return { own: Heat.scales(maps, false, image), shared: Heat.scales(maps, true, image),
                   on: Heat.patchesOn(maps[0], image), n: Heat.seenValues(maps[0], image).length };
        }) };""",
    )
    assert len(result["all"]) == len(made)
    for explanation, answer in zip(made, result["all"], strict=True):
        on = patches_on(explanation.geometry, *explanation.maps.shape[1:])
        places = [on.any(axis).nonzero()[0] for axis in (1, 0)]
        assert answer["on"] == [[at[0], at[-1]] for at in places]
        assert answer["n"] == on.sum()
        for name, shared in (("own", False), ("shared", True)):
            chosen = map_scales(explanation, shared=shared)
            expected = [{"limit": pytest.approx(s.limit), "signed": s.signed} for s in chosen]
            assert answer[name] == expected


def test_the_label_tells_the_place_on_the_picture(make, probe):
    maps = torch.zeros(4, 6, 8)
    maps[0, 1, 1] = maps[1, 5, 6] = maps[2, 2, 4] = 1.0
    maps[0:3, :, 0] = 9.0  # beside the picture
    maps[3, 0, 0] = maps[3, 5, 7] = 1.0
    beside = make(("one", "two", "three", "four"), maps=maps, box=BESIDE)
    hot = torch.zeros(1, 6, 8)
    hot[0, 0, 0] = 1.0
    cropped = make(("five",), maps=hot, box=Box(110, 90, 310, 240))
    answer = probe(
        page([beside, cropped]),
        """const read = () => [$(".stage.large canvas").ariaLabel, $(".readout").textContent];
        const out = all(".prompts input").map((_, i) => {
          all(".prompts input")[i].click(); return read(); });
        all("[role=tab]")[1].click();
        return { out: [...out, read()] };""",
    )
    labels = [label.split("”, ")[1] for label, _ in answer["out"]]
    places = ["top left", "bottom right", "middle centre", None, "middle centre"]
    assert labels == [f"highest at the {p}" if p else "zero everywhere" for p in places]
    hints = [hint.startswith("Zero everywhere") for _, hint in answer["out"]]
    assert hints == [place is None for place in places]


def test_arrow_keys_stay_on_the_picture(make, probe):
    maps = torch.arange(48.0).reshape(1, 6, 8)
    answer = probe(
        page([make(("a dog",), maps=maps, box=BESIDE)]),
        """const stage = $(".stage.large"); stage.focus();
        const press = (key) => { for (let i = 0; i < 9; i++)
          stage.dispatchEvent(new KeyboardEvent("keydown", { key }));
          return $(".readout").textContent; };
        return { places: ["Left", "Up", "Right", "Down"].map((way) => press(`Arrow${way}`)) };""",
    )
    places = [re.findall(r"\d+", place)[:2] for place in answer["places"]]
    assert places == [["4", "2"], ["1", "2"], ["1", "7"], ["6", "7"]]


def test_the_shared_scale_acts_on_heat_words_and_colour_bar(make, probe):
    maps = torch.ones(2, 2, 2)
    maps[1] *= 0.25
    words = ((Word("one", 0, 3, 0.8),), (Word("two", 0, 3, 0.2),))
    read = """const read = () => ({ heat: pixel(all(".multiples canvas")[1], 0.5, 0.5).slice(0, 3),
          words: all(".multiples mark").map((m) => m.style.getPropertyValue("--strength")),
          bar: all(".legend span").map((s) => s.textContent) });"""
    change = f"""{read} const before = read();
        $("input[name=shared]").click();
        return {{ before, after: read() }};"""
    plain = make(("one", "two"), maps=maps, words=words, with_image=False)
    answer = probe(page([plain]), change)
    separate, shared = (255 * np.array(plainly(0.5, strength)) for strength in (1.0, 0.25))
    assert answer["before"]["heat"] == pytest.approx(separate, abs=1)
    assert answer["after"]["heat"] == pytest.approx(shared, abs=1)
    assert answer["before"]["words"] == ["75%", "75%"]
    assert answer["after"]["words"] == ["75%", "19%"]
    assert answer["before"]["bar"] == ["0", "1", "each map to its own peak"]
    assert answer["after"]["bar"] == ["0", "1", "all maps on one scale"]
    # The words of an interaction share a scale from the start; a page of both keeps them apart.
    both = page([replace(plain, method="interaction"), plain])
    answer = probe(
        both,
        f"""{read} const first = read(); all("[role=tab]")[1].click();
        return {{ first, second: read() }};""",
    )
    assert answer["first"]["words"] == ["75%", "19%"]
    assert answer["first"]["bar"][-1] == "all maps on one scale"
    assert answer["second"]["words"] == ["75%", "75%"]


def test_the_colour_bar_is_that_of_the_figures(make, probe):
    for signed in (False, True):
        answer = probe(
            page([make(signed=signed)]),
            """const c = $("canvas.bar"); return { size: [c.width, c.height],
              pixels: [0, 55, 110, 165, 219].map((x) => [0, 10, 19].map(
                (y) => pixel(c, (x + 0.5) / 220, (y + 0.5) / 20).slice(0, 3))) };""",
        )
        expected = 255 * Scale(1.0, signed).bar(*answer["size"])
        for x, column in zip((0, 55, 110, 165, 219), answer["pixels"], strict=True):
            for y, rgb in zip((0, 10, 19), column, strict=True):
                assert rgb == pytest.approx(expected[y, x], abs=1)


def test_the_badge_is_green_only_where_the_score_is_explained(make, probe):
    explanation = make(method="a")
    random = replace(explanation.certificate, scope={"image": "baseline", "text": "baseline"})
    answer = probe(
        page(
            [
                explanation,
                make(method="b", changes=("one attention head",)),
                replace(explanation, method="c", certificate=random),
            ]
        ),
        """const read = () => [$(".badge").className, $(".badge").textContent,
          all(".statements + ul li").map((l) => l.textContent).join()];
        const one = (at) => { all("[role=tab]")[at].click(); return read(); };
        return { all: [0, 1, 2].map(one), statements: all(".statements li").length,
                 selected: all("[role=tab]").map((t) => t.ariaSelected) };""",
    )
    assert answer["all"] == [
        ["badge itself", "explains the model's score", ""],
        [
            "badge changed",
            "explains a modified computation",
            "Modified computation: one attention head",
        ],
        ["badge other", "random baseline, explains nothing", ""],
    ]
    assert answer["statements"] == 3
    assert answer["selected"] == ["false", "false", "true"]


@pytest.mark.parametrize(
    "fields",
    [
        {"with_image": False},
        {"with_maps": False},
        {"with_words": False},
        {"with_maps": False, "with_image": False},
        {"size": (20000, 30), "grid": (1, 8)},
        {"size": (1, 1), "grid": (1, 1)},
        {"prompts": (("a photo of a dog", "a dog"), "", " ")},
        {"prompts": ("a very long prompt " * 30, "unbreakable" * 40)},
    ],
)
def test_every_kind_of_explanation_fits_a_phone(make, probe, fields):
    answer = probe(
        page([make(**fields)]),
        """all(".prompts input").forEach((_, i) => all(".prompts input")[i].click());
        const wide = document.documentElement.scrollWidth - innerWidth;
        return { wide, named: all("img, canvas").every((n) => n.alt || n.ariaLabel) };""",
        size="500,900",
    )
    assert answer["wide"] <= 0
    assert answer["named"]


def test_several_fragments_on_one_page_do_not_clash(make, probe):
    one, two = make(("one dog",)), make(("two cats",), image=Image.new("RGB", (320, 240)))
    answer = probe(
        f"<!doctype html><main></main>{fragment(one)}{fragment(two)}".replace(
            ' loading="lazy"', ""
        ),
        """await new Promise((done) => setTimeout(done, 1500));
        const frames = all("iframe");
        return { heads: frames.map((f) => f.contentDocument.querySelector("h1").innerText),
          fits: frames.every((f) => f.contentDocument.documentElement.scrollHeight
            <= f.getBoundingClientRect().height + 1), outside: all("h1").length };""",
    )
    assert [head[:3] for head in answer["heads"]] == ["one", "two"]
    assert answer["fits"]
    assert answer["outside"] == 0
