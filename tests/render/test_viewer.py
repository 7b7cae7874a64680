"""The viewer in a real browser: a probe appended to the page acts on it and reports back."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest
import torch
from PIL import Image

from whyclip.render import fragment, page
from whyclip.render.colour import FADE, GREYNESS
from whyclip.render.parts import map_scales, patches_on
from whyclip.storage import to_json
from whyclip.types import Box

pytestmark = pytest.mark.browser


def test_the_hot_patch_is_hot_and_the_rest_is_clear(make, probe):
    maps = torch.zeros(1, 6, 8)
    maps[0, 1, 6] = 0.02
    found = probe(
        page([make(("a red disc",), maps=maps)]),
        """const c = $(".stage.large canvas");
        return { hot: pixel(c, 6.5 / 8, 1.5 / 6), near: pixel(c, 6 / 8, 1.5 / 6),
                 far: pixel(c, 0.2, 0.8), label: c.getAttribute("aria-label") };""",
    )
    red, green, blue, opaque = found["hot"]
    assert opaque > 245
    assert red > 230
    assert green > 230
    assert blue < 180  # the bright yellow end of the colour map
    assert 60 < found["near"][3] < 200
    assert found["far"][3] == 0
    assert found["label"] == "Heat map for “a red disc”, highest at the top right"


def test_the_canvas_agrees_with_the_heatmap_that_python_computes(make, probe):
    explanation = make(("a red disc",), box=Box(40, -20, 280, 200), grid=(5, 7), signed=True)
    found = probe(
        page([explanation]),
        """const c = $(".stage.large canvas"); const out = [];
        for (let y = 0.05; y < 1; y += 0.1) for (let x = 0.05; x < 1; x += 0.1)
          out.push([x, y, ...pixel(c, x, y)]);
        return { out, width: c.width, height: c.height };""",
    )
    width, height = found["width"], found["height"]
    heat = explanation.heatmap((height, width))[0]
    limit = float(explanation.maps.abs().max())
    for x, y, red, _, blue, alpha in found["out"]:
        value = float(heat[int(y * height), int(x * width)])
        if value != value:
            assert alpha == 0
            continue
        assert alpha == pytest.approx(255 * abs(value / limit) ** FADE, abs=2)
        if alpha > 100:
            assert (red > blue) == (value > 0)


def test_unseen_strips_cover_what_lies_outside_of_the_box(make, probe):
    found = probe(
        page([make(("a dog",), box=Box(40, 0, 280, 240), grid=(7, 7))]),
        """return { strips: all(".stage.large .unseen").map((s) =>
          [s.style.left, s.style.top, s.style.width, s.style.height]) };""",
    )
    assert found["strips"] == [["0%", "0%", "12.5%", "100%"], ["87.5%", "0%", "12.5%", "100%"]]


def test_words_take_the_colour_of_their_sign_at_the_right_place(make, probe):
    prompt = "🎈 a 🎈 red balloon"  # characters outside of the first plane come before the words
    found = probe(
        page([make((prompt,))]),
        """return { text: $("h1").innerText, marks: all("h1 mark").map((m) => [
          m.firstChild.textContent, m.className, m.dataset.value,
          getComputedStyle(m).backgroundColor, getComputedStyle(m).textDecorationLine]) };""",
    )
    colours = {}
    for word, kind, value, colour, line in found["marks"]:
        numbers = [float(v) for v in re.findall(r"[\d.]+", colour.replace("srgb", ""))]
        colours[word] = (kind, value, numbers[0] > numbers[1], line)
    assert colours == {
        "a": ("for", "+0.04 for", False, "none"),
        "red": ("against", "−0.02 against", True, "underline"),
        "balloon": ("for", "+0.02 for", False, "none"),
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
    found = probe(
        page([explanation, make((attack, "x"), method="other" + attack)]),
        """const bad = () => all("img:not([src^='data:']), b:not(.match b), [onerror]").length;
        const before = bad();
        all(".prompts input")[1].click(); all("[role=tab]")[1].click();
        await new Promise((done) => setTimeout(done, 300));
        return { before, after: bad(), title: document.title,
                 text: $(".prompts .text").textContent };""",
    )
    assert (found["before"], found["after"]) == (0, 0)
    assert found["text"] == attack
    assert found["title"].startswith(attack)


def test_choosing_a_prompt_by_keyboard_or_picture_changes_what_is_shown(make, probe):
    found = probe(
        page([make(("one dog", "two cats"))]),
        """const shown = () => $("h1").innerText.slice(0, 3);
        const states = [shown()];
        const radio = all(".prompts input")[1]; radio.focus(); radio.click();
        states.push(shown());
        const kept = document.activeElement === all(".prompts input")[1];
        all(".multiples button")[0].click(); states.push(shown());
        return { states, kept };""",
    )
    assert found["states"] == ["one", "two", "one"]
    assert found["kept"]


def test_the_patch_under_pointer_and_arrow_keys_is_read_out(make, probe):
    maps = torch.arange(48.0).reshape(1, 6, 8)
    found = probe(
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
    assert found["pointed"] == "Row 1, column 8: +7, 15 % of the peak"
    assert found["moved"] == "Row 2, column 8: +15, 32 % of the peak"
    assert found["left"] == "87.5%"


BESIDE = Box(-80, 0, 400, 240)  # of 8 columns the first and the last are padding


def test_scales_and_patches_on_the_picture_are_those_that_python_computes(make, probe):
    boxes = [BESIDE, Box(-60, 0, 420, 240), Box(40, -100, 280, 340), Box(0, 0, 320, 240)]
    maps = [(torch.arange(96.0).reshape(2, 6, 8) - shift) ** 3 for shift in (0, 7.5, 90)]
    made = [make(method=f"{i}", box=b, maps=m) for i, b in enumerate(boxes) for m in maps]
    # A rounding error of the box, at the edge of the picture that is the edge of a patch.
    thin = {"size": (460, 345), "box": Box(0, -57.5, 460, 402.5 - 1e-13)}
    made.append(make(("a dog",), maps=torch.arange(256.0).reshape(1, 16, 16), **thin))
    heat = files("whyclip.render") / "viewer" / "heat.js"
    found = probe(
        f"<!doctype html><main></main><script>{heat.read_text(encoding='utf-8')}</script>",
        f"""return {{ all: {json.dumps([to_json(one) for one in made])}"""
        """.map(({ prompts, image }) => {
          const maps = prompts.map((p) => p.map);
          return { own: Heat.scales(maps, false, image), shared: Heat.scales(maps, true, image),
                   on: Heat.patchesOn(maps[0], image), n: Heat.seenValues(maps[0], image).length };
        }) };""",
    )
    assert len(found["all"]) == len(made)
    for explanation, answer in zip(made, found["all"], strict=True):
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
    found = probe(
        page([beside, cropped]),
        """const read = () => [$(".stage.large canvas").ariaLabel, $(".readout").textContent];
        const out = all(".prompts input").map((_, i) => {
          all(".prompts input")[i].click(); return read(); });
        all("[role=tab]")[1].click();
        return { out: [...out, read()] };""",
    )
    labels = [label.split("”, ")[1] for label, _ in found["out"]]
    places = ["top left", "bottom right", "middle centre", None, "middle centre"]
    assert labels == [f"highest at the {p}" if p else "zero everywhere" for p in places]
    hints = [hint.startswith("Zero everywhere") for _, hint in found["out"]]
    assert hints == [place is None for place in places]


def test_arrow_keys_stay_on_the_picture(make, probe):
    maps = torch.arange(48.0).reshape(1, 6, 8)
    found = probe(
        page([make(("a dog",), maps=maps, box=BESIDE)]),
        """const stage = $(".stage.large"); stage.focus();
        const press = (key) => { for (let i = 0; i < 9; i++)
          stage.dispatchEvent(new KeyboardEvent("keydown", { key }));
          return $(".readout").textContent; };
        return { places: ["Left", "Up", "Right", "Down"].map((way) => press(`Arrow${way}`)) };""",
    )
    places = [re.findall(r"\d+", place)[:2] for place in found["places"]]
    assert places == [["4", "2"], ["1", "2"], ["1", "7"], ["6", "7"]]


def test_opacity_and_shared_scale_act_on_the_heat(make, probe):
    maps = torch.ones(2, 2, 2)
    maps[1] *= 0.25
    found = probe(
        page([make(("one", "two"), maps=maps)]),
        """const alpha = () => pixel(all(".multiples canvas")[1], 0.5, 0.5)[3];
        const own = alpha();
        const slider = $("input[type=range]"); slider.value = 0.3;
        slider.dispatchEvent(new Event("input"));
        const faded = () => all("canvas").map((c) => getComputedStyle(c).opacity);
        const before = faded();
        $("input[type=checkbox]").click();
        const grey = getComputedStyle($(".under-heat img")).filter;
        return { own, shared: alpha(), faded: before, kept: faded(), grey };""",
    )
    assert found["own"] == 255
    assert found["shared"] == pytest.approx(255 * 0.25**FADE, abs=2)
    assert set(found["faded"]) == {"0.3"}
    assert set(found["kept"]) == {"0.3"}
    assert found["grey"] == f"grayscale({0.6 * GREYNESS:g})"


def test_the_badge_tells_the_verdict_reasons_and_gap(make, probe):
    found = probe(
        page([make(method="a"), make(method="b", changes=("one attention head",))]),
        """const read = () => [$(".badge").className, $(".badge").textContent,
          all(".card li").map((l) => l.textContent).join(), all("dd")[3].textContent];
        const first = read(); all("[role=tab]")[1].click();
        return { first, second: read(),
                 selected: all("[role=tab]").map((t) => t.ariaSelected) };""",
    )
    assert found["first"] == ["badge itself", "explains the model itself", "", "3.0e−7"]
    assert found["second"] == [
        "badge changed",
        "explains a changed model",
        "one attention head",
        "2.1e−2",
    ]
    assert found["selected"] == ["false", "true"]


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
    found = probe(
        page([make(**fields)]),
        """all(".prompts input").forEach((_, i) => all(".prompts input")[i].click());
        const wide = document.documentElement.scrollWidth - innerWidth;
        return { wide, named: all("img, canvas").every((n) => n.alt || n.ariaLabel) };""",
        size="500,900",
    )
    assert found["wide"] <= 0
    assert found["named"]


def test_several_fragments_on_one_page_do_not_clash(make, probe):
    one, two = make(("one dog",)), make(("two cats",), image=Image.new("RGB", (320, 240)))
    found = probe(
        f"<!doctype html><main></main>{fragment(one)}{fragment(two)}".replace(
            ' loading="lazy"', ""
        ),
        """await new Promise((done) => setTimeout(done, 1500));
        const frames = all("iframe");
        return { heads: frames.map((f) => f.contentDocument.querySelector("h1").innerText),
          fits: frames.every((f) => f.contentDocument.documentElement.scrollHeight
            <= f.getBoundingClientRect().height + 1), outside: all("h1").length };""",
    )
    assert [head[:3] for head in found["heads"]] == ["one", "two"]
    assert found["fits"]
    assert found["outside"] == 0
