"""Explanations made by hand, so that rendering is tested without any model; and a browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from whyclip.certificate import Certificate
from whyclip.explanation import Explanation
from whyclip.types import Box, Geometry, Word

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--virtual-time-budget=4000",
    "--dump-dom",
]

PROBE = """
<script>
window.problems = [];
addEventListener("error", (event) => problems.push(String(event.message)));
addEventListener("securitypolicyviolation", (event) => problems.push(event.violatedDirective));
const $ = (query) => document.querySelector(query);
const all = (query) => [...document.querySelectorAll(query)];
const pixel = (canvas, x, y) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  return [...context.getImageData(
    Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data];
};
const report = (found) => {
  const out = document.createElement("pre");
  out.id = "report";
  out.textContent = JSON.stringify({ ...found, problems });
  document.body.append(out);
};
addEventListener("load", async () => {
  const viewer = document.getElementById("viewer"); // filled once its images are decoded
  for (let i = 0; viewer && !viewer.firstChild && i < 200; i++)
    await new Promise((done) => setTimeout(done, 10));
  report(await (async () => { BODY })());
});
</script>
"""


def words_of(prompt: str, relevance: Callable[[int], float], template: int = 0) -> list[Word]:
    matches = re.finditer(r"\w+", prompt)
    return [
        Word(m.group(), m.start(), m.end(), relevance(i), template) for i, m in enumerate(matches)
    ]


def picture(width: int = 320, height: int = 240) -> Image.Image:
    """A sky over grass, with a red disc at three quarters across and one quarter down."""
    image = Image.new("RGB", (width, height), "#bcd7ee")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 0.6, width, height), fill="#8fbf6f")
    x, y, r = width * 0.75, height * 0.25, min(width, height) * 0.12
    draw.ellipse((x - r, y - r, x + r, y + r), fill="#d8452e")
    x, y = width * 0.3, height * 0.7
    draw.rectangle((x - r, y - r, x + r, y + r), fill="#3b5ba9")
    return image


def bump(gh: int, gw: int, row: float, column: float, floor: float = 0.0) -> torch.Tensor:
    y = (torch.arange(gh) + 0.5) / gh - row
    x = (torch.arange(gw) + 0.5) / gw - column
    return torch.exp(-(y[:, None] ** 2 + x[None] ** 2) / 0.02) + floor


def make_explanation(
    prompts: tuple[Any, ...] = ("a red disc in the sky", "a blue square on the grass"),
    *,
    size: tuple[int, int] = (320, 240),
    grid: tuple[int, int] = (6, 8),
    box: Box | None = None,
    signed: bool = False,
    changes: tuple[str, ...] = (),
    with_image: bool = True,
    with_maps: bool = True,
    with_words: bool = True,
    maps: torch.Tensor | None = None,
    **fields: Any,
) -> Explanation:
    n = len(prompts)
    centres = [(0.25, 0.75), (0.7, 0.3), (0.5, 0.5), (0.8, 0.8)]
    if maps is None and with_maps:
        floor = -0.35 if signed else 0.0
        maps = torch.stack([0.01 * bump(*grid, *centres[i % 4], floor) for i in range(n)])
    scores = torch.tensor([0.31 - 0.012 * i for i in range(n)])
    words = []
    for prompt in prompts:
        templates = (prompt,) if isinstance(prompt, str) else prompt
        prompt_words: list[Word] = []
        for index, text in enumerate(templates):
            prompt_words += words_of(text, lambda i: 0.02 * ((i * 7 + 3) % 5 - 1), index)
        words.append(tuple(prompt_words) if with_words else ())
    model_scores = tuple(float(s) for s in scores)
    shift = 0.021 if changes else 3e-7
    sides: dict[Any, tuple[float, ...]] = {}
    if with_maps:
        sides["image"] = tuple(s + shift for s in model_scores)
    if with_words:
        sides["text"] = model_scores
    return Explanation(
        **{
            "model": "openclip:ViT-B-16/openai",
            "method": "grad_eclip",
            "prompts": tuple(prompts),
            "scores": scores,
            "maps": maps,
            "words": tuple(words),
            "certificate": Certificate(
                model_scores,
                sides,
                changes,
                scope=dict.fromkeys(sides, "score"),
                checked=dict.fromkeys(sides, (1, 1)),
            ),
            "geometry": Geometry("model", *size, box or Box(0, 0, *size)),
            "image": picture(*size) if with_image else None,
            "options": {"heads": "single" if changes else "native", "relu": not signed},
            **fields,
        }
    )


@pytest.fixture
def make() -> Callable[..., Explanation]:
    return make_explanation


@pytest.fixture(scope="session")
def browser() -> str:
    program = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} on PATH, and CHROME is not set")
    return program


@pytest.fixture
def probe(browser: str, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Open HTML with a script at its end and return what the script reports."""

    def run(html: str, body: str, *flags: str, size: str = "1280,1000") -> dict[str, Any]:
        html = html.replace("<main", PROBE.replace("BODY", body) + "<main", 1)
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        done = subprocess.run(
            [browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={size}",
             *flags, path.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
        match = re.search(r'<pre id="report">(.*?)</pre>', done.stdout, re.DOTALL)
        assert match, done.stdout[-2000:]
        answer: dict[str, Any] = json.loads(unescape(match.group(1)))
        assert answer["problems"] == []
        return answer

    return run
