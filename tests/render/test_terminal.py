import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console

from whyclip.render import summary
from whyclip.types import Box


def printed(explanation, *, encoding="utf-8", width=100):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=width).print(summary(explanation))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


def sketch(text):
    return [m.group(1) for m in re.finditer(r"[│|](.*?)[│|]", text)]


def test_prompt_score_strongest_words_and_certificate_are_there(make):
    text = printed(make(changes=("one head",)))
    for part in ("a red disc in the sky", "0.310", "in +0.06", "▲ explains a modified computation"):
        assert part in text
    assert "score check failed: explained score 0.331, model score 0.31" in text
    assert "modified computation: one head" in text
    assert "grad_eclip:heads=single, openclip:ViT-B-16/openai" in text
    assert "grad_eclip, openclip:ViT-B-16/openai" in printed(make())


def test_the_sketch_is_darkest_where_the_map_is_hot(make):
    maps = torch.zeros(1, 6, 8)
    maps[0, 1, 6] = 1.0
    rows = sketch(printed(make(("a dog",), maps=maps)))
    assert len(rows) == 6
    row, column = max(
        ((r, c) for r in range(6) for c in range(16)),
        key=lambda at: " ·░▒▓█".index(rows[at[0]][at[1]]),
    )
    assert (row, column // 2) == (1, 6)
    assert set("".join(rows[3:])) == {" "}


def test_unseen_and_against_have_their_own_signs(make):
    text = "".join(sketch(printed(make(("a dog",), box=Box(80, 0, 320, 240), signed=True))))
    assert text.count("╱") == 6 * 4
    assert "-" in text


def test_a_terminal_without_unicode_gets_plain_characters(make):
    printed(make(("a dog",), box=Box(40, 0, 280, 240)), encoding="ascii").encode("ascii")


@pytest.mark.parametrize(
    "fields",
    [
        {"with_maps": False},
        {"with_words": False},
        {"size": (20000, 30), "grid": (1, 8)},
        {"size": (30, 9000), "grid": (8, 1)},
        {"prompts": tuple(f"prompt {i}" for i in range(20))},
        {"prompts": (("a dog", "a photo of a dog"), "[bold]no markup[/bold]")},
        {"maps": torch.zeros(2, 3, 3)},
    ],
)
def test_every_kind_prints_within_the_width(make, fields):
    text = printed(make(**fields), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "prompt" in text


def test_prompts_are_not_read_as_markup(make):
    assert "[bold]no[/bold]" in printed(make(("[bold]no[/bold]",)))


def test_words_without_any_relevance_are_said_to_be_zero(make):
    explanation = make(("a dog",))
    silent = tuple(replace(word, relevance=0.0) for word in explanation.words[0])
    assert "all zero" in printed(replace(explanation, words=(silent,)))


def coloured(explanation, system="truecolor", width=100, **options):
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=system)
    console.print(summary(explanation, **options))
    return file.getvalue()


CELL = re.compile(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀")


def test_where_colours_allow_the_terminal_shows_the_image_and_its_two_inks(make):
    maps = torch.zeros(1, 6, 8)
    maps[0, 1, 6] = 1.0
    text = coloured(make(("a dog",), maps=maps))
    cells = np.array([[int(part) for part in cell] for cell in CELL.findall(text)], float)
    image, heat = cells.reshape(2, 6, 16, 2, 3)
    assert np.ptp(image, axis=-1).max() > 100  # the image keeps its own colours
    colour = np.ptp(heat, axis=-1).max(-1)
    assert np.unravel_index(colour.argmax(), colour.shape)[0] == 1
    assert np.unravel_index(colour.argmax(), colour.shape)[1] // 2 == 6
    assert colour[3:].max() == 0
    assert colour[:, :9].max() == 0


@pytest.mark.parametrize("system", [None, "standard"])
def test_few_colours_get_shades(make, system):
    text = coloured(make(("a dog",)), system)
    assert "▀" not in text
    assert "█" in text


def test_cropped_parts_are_hatched_in_colour_too(make):
    text = coloured(make(("a dog",), box=Box(80, 0, 320, 240)))
    assert text.count("╱") == 6 * 4


def test_a_colour_terminal_stays_within_the_width(make):
    for fields in ({"size": (20000, 30), "grid": (1, 8)}, {"with_image": False}, {"signed": True}):
        lines = re.sub(r"\x1b\[[\d;]*m", "", coloured(make(**fields), width=80)).splitlines()
        assert max(map(len, lines)) <= 80


def test_the_words_of_an_interaction_share_a_scale_with_numbers(make):
    maps = torch.ones(2, 3, 3)
    maps[1] *= 0.25
    plain = make(("one", "two"), maps=maps)
    for one, shared in (
        (printed(plain), False),
        (printed(replace(plain, method="interaction")), True),
        (coloured(plain, None, shared_scale=True), True),
        (coloured(replace(plain, method="interaction"), None, shared_scale=False), False),
    ):
        assert ("all maps on one scale" in one) == shared
        assert ("each map to its own peak" in one) != shared
        first, second = sketch(one)[0], sketch(one)[-1]
        assert first[0] == "█"
        assert (second[0] == "█") != shared
    assert re.search(r"heat: 0 .* 1, all maps", printed(replace(plain, method="interaction")))
    signed = printed(replace(plain, method="interaction", maps=-maps))
    assert re.search(r"heat: -1 .* 1, all maps", signed)
