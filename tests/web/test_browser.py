"""The page in a real browser, by Playwright with the Chromium that is installed.

``make test-web`` runs these; ``SHOTS=FOLDER`` also keeps screenshots there.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from web_site import Site, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
AXE = Path(__file__).with_name("axe") / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DESKTOP, PHONE = (1280, 900), (390, 844)
FLAGS = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
Open = Callable[..., "Page"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    program = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)
    assert program, f"no browser: none of {', '.join(NAMES)} on PATH, and CHROME is not set"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Open]:
    """Open the page; at the end, nothing was loaded from elsewhere and nothing went wrong."""
    contexts, problems = [], []

    def open_(
        link: str = "", size: tuple[int, int] = DESKTOP, scheme: str = "light", **more: Any
    ) -> Page:
        width, height = size
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            permissions=["camera", "clipboard-read", "clipboard-write"],
            **more,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("console", lambda said: note(said.type, said.text))
        page.on("request", lambda request: outside(request.url))
        page.goto(f"{site.address}/{link}")
        answered(page)
        return page

    def note(kind: str, text: str) -> None:
        # Chromium writes a line for every response of 400 and above; the page says it in words.
        # Reading pixels back is what these tests do, not the page.
        expected = ("Failed to load resource", "willReadFrequently")
        if kind in ("error", "warning") and not any(words in text for words in expected):
            problems.append(f"{kind}: {text}")

    def outside(url: str) -> None:
        if not url.startswith((site.address, "blob:", "data:")):
            problems.append(f"loads {url}")

    yield open_
    for context in contexts:
        context.close()
    assert problems == []


def answered(page: Page, before: str | None = None) -> None:
    """Wait until an answer is on the screen, another one than before."""
    other = f':not([data-answered="{before}"])' if before else ""
    page.wait_for_selector(f"html[data-answered]{other}", state="attached")


def after(page: Page, act: Callable[[], Any]) -> None:
    """Do something, and wait for the answer to it."""
    before = page.get_attribute("html", "data-answered")
    act()
    answered(page, before)


def pixels(page: Page, which: int = 0) -> str:
    """The heat map as it is painted."""
    return str(page.locator("canvas.heat").nth(which).evaluate("(c) => c.toDataURL()"))


def colour_at(page: Page, x: float, y: float) -> list[int]:
    script = """(c, [x, y]) => [...c.getContext("2d").getImageData(
        Math.floor(x * c.width), Math.floor(y * c.height), 1, 1).data].slice(0, 3)"""
    return list(page.locator("canvas.heat").first.evaluate(script, [x, y]))


def headline(page: Page) -> str:
    """The prompt, without the numbers that only screen readers get."""
    return re.sub(r" \([+−]?[\d.e−]+\)", "", page.locator("h1").text_content() or "")


def test_the_first_page_already_answers_an_example(open_page: Open) -> None:
    page = open_page()
    assert headline(page) == "a dog next to a red car"
    assert page.locator(".match b").inner_text() == "0.399"
    assert page.locator(".lead").inner_text().startswith("The score comes most from the ")
    assert "explains the model's score" in page.locator(".seal").inner_text()
    red, _, blue = colour_at(page, 0.72, 0.66)  # on the car
    assert red > blue + 60
    assert len(set(colour_at(page, 0.05, 0.95))) == 1  # grey: no relevance


def test_an_upload_changes_image_and_maps(open_page: Open) -> None:
    page = open_page()
    before = pixels(page)
    after(page, lambda: page.set_input_files("#file", ROOT / "examples" / "four_objects.png"))
    after(page, lambda: page.fill("#prompts", "a penguin"))
    assert headline(page) == "a penguin"
    assert pixels(page) != before
    assert page.locator("canvas.heat").get_attribute("aria-label", timeout=5000) == (
        "Heat map for “a penguin”, highest at the bottom left"
    )


def test_dropping_and_pasting_an_image(open_page: Open) -> None:
    page = open_page()
    content = base64.b64encode((ROOT / "examples" / "off_centre.png").read_bytes()).decode()
    script = """([content, kind]) => {
      const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], "image.png", { type: "image/png" }));
      const event = kind === "paste"
        ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
        : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
      document.body.dispatchEvent(event);
    }"""
    first = page.locator(".dropzone img").get_attribute("src")
    after(page, lambda: page.evaluate(script, [content, "drop"]))
    dropped = page.locator(".dropzone img").get_attribute("src")
    assert dropped != first
    after(page, lambda: page.click('.example[data-id="wide"]'))
    after(page, lambda: page.evaluate(script, [content, "paste"]))
    assert page.locator(".dropzone img").get_attribute("src") == dropped


def test_a_photograph_from_the_camera(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Camera").click()
    page.locator("dialog video").evaluate(
        "(v) => new Promise((done) => v.videoWidth ? done() : (v.onloadeddata = () => done()))"
    )
    after(page, lambda: page.get_by_role("button", name="Take the photograph").click())
    assert page.locator("dialog").count() == 0
    assert page.locator(".stage.beside img").get_attribute("alt", timeout=5000) is not None
    assert "448 by 448" not in str(page.locator(".stage.beside img").get_attribute("alt"))


def test_typing_changes_the_answer_without_a_button(open_page: Open) -> None:
    page = open_page()
    scores = []
    for prompt in ("a dog", "a red car", "a blue car"):
        after(page, lambda: page.fill("#prompts", prompt))  # noqa: B023
        assert headline(page) == prompt
        scores.append(float(page.locator(".match b").inner_text().replace("−", "-")))
    assert len(set(scores)) == 3
    assert max(scores) == scores[1]


def test_rather_than(open_page: Open) -> None:
    page = open_page()
    page.fill("#prompts", "a red car")
    page.locator("details", has=page.locator("#against")).locator("summary").click()
    after(page, lambda: page.fill("#against", "a blue car"))
    page.wait_for_selector(".match:has-text('rather than a blue car')")


def test_another_method_changes_map_and_certificate(open_page: Open, site: Site) -> None:
    page = open_page()
    before, runs = pixels(page), dict(site.app.kept.runs)
    after(page, lambda: page.select_option("#method", "grad_eclip:heads=single"))
    assert pixels(page) != before
    assert "modified computation" in page.locator(".trust").inner_text()
    assert "modifies the model" in page.locator(".trust").inner_text()
    assert site.app.kept.runs["image"] == runs["image"]
    after(page, lambda: page.select_option("#geometry", "pad"))
    assert page.locator(".trust dd").last.inner_text() == "" or "pad" in page.content()


def test_two_methods_side_by_side(open_page: Open) -> None:
    page = open_page()
    after(page, lambda: page.select_option("#beside", "game"))
    assert page.locator("canvas.heat").count() == 2
    assert pixels(page, 0) != pixels(page, 1)
    assert page.locator("figcaption").all_inner_texts() == ["the image", "Decomposition", "GAME"]
    assert page.locator(".trust").count() == 2


def test_one_side_alone(open_page: Open) -> None:
    page = open_page()
    after(page, lambda: page.select_option("#sides", "text"))
    assert page.locator("canvas.heat").count() == 0
    assert page.locator(".bars").count() == 1
    after(page, lambda: page.select_option("#sides", "image"))
    assert page.locator("canvas.heat").count() == 1
    assert page.locator(".bars").count() == 0


def test_a_word_shows_where_it_matches(open_page: Open) -> None:
    page = open_page()
    whole = pixels(page)
    page.locator("h1 button", has_text="dog").click()
    page.wait_for_selector("figcaption:has-text('where “dog” matches')")
    dog, car = (
        red - blue
        for red, _, blue, *_ in (colour_at(page, 0.28, 0.34), colour_at(page, 0.70, 0.66))
    )
    # whyclip.interaction gives the word 0.040 there and 0.012 on the car.
    assert dog > 60
    assert car < dog / 3
    page.locator("h1 button", has_text="dog").click()
    page.wait_for_selector("figcaption:has-text('Decomposition')")
    assert pixels(page) == whole


def drag(page: Page, left: float, top: float, right: float, bottom: float) -> None:
    area = page.locator(".stage.beside").bounding_box()
    assert area
    x, y, wide, high = (area[key] for key in ("x", "y", "width", "height"))
    page.mouse.move(x + left * wide, y + top * high)
    page.mouse.down()
    page.mouse.move(x + right * wide, y + bottom * high, steps=4)
    page.mouse.up()


def best_word(page: Page) -> str:
    words = page.locator(".bars .word").all_inner_texts()
    values = [
        float(text.replace("−", "-")) for text in page.locator(".bars .score").all_inner_texts()
    ]
    return words[values.index(max(values))]


def test_a_box_shows_which_words_match_there(open_page: Open) -> None:
    page = open_page()
    drag(page, 0.12, 0.2, 0.44, 0.52)
    page.wait_for_selector("h2:has-text('Words in the box')")
    assert best_word(page) == "dog"
    drag(page, 0.55, 0.52, 0.88, 0.80)
    page.wait_for_timeout(300)
    assert best_word(page) == "car"
    page.locator("[data-focus=stage]").press("Escape")
    page.wait_for_selector("h2:text-is('Words')")


def test_the_strongest_pairs_are_lines_from_words_to_regions(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Word–region lines").click()
    page.wait_for_selector(".lines .line", state="attached")
    assert 2 <= page.locator(".lines .line").count() <= 6
    assert re.search(r"(dog|car) at row \d+, column \d+", page.locator(".pairs").inner_text())
    area = page.locator(".stage.beside").bounding_box()
    ends = page.locator(".lines .end").evaluate_all(
        "(all) => all.map((c) => { const r = c.getBoundingClientRect();"
        " return [r.x + r.width / 2, r.y + r.height / 2]; })"
    )
    assert area
    for x, y in ends:
        assert area["x"] <= x <= area["x"] + area["width"]
        assert area["y"] <= y <= area["y"] + area["height"]


def test_original_heat_contour_and_patches(open_page: Open) -> None:
    page = open_page()
    drawn = {}
    for view in ("heat", "contour", "patches"):
        page.check(f"input[name=view][value={view}]")
        drawn[view] = pixels(page)
    assert len(set(drawn.values())) == 3
    page.check("input[name=view][value=original]")
    assert page.locator("canvas.heat").count() == 0


@pytest.mark.parametrize(
    ("name", "start"),
    [("Web page", b"<!doctype"), ("PNG", b"\x89PNG"), ("SVG", b"<?xml"), ("JSON", b"{")],
)
def test_downloads(open_page: Open, name: str, start: bytes) -> None:
    page = open_page()
    with page.expect_download() as waiting:
        page.locator(".files").get_by_role("button", name=name, exact=True).click()
    file = Path(waiting.value.path()).read_bytes()
    assert file.startswith(start)
    assert waiting.value.suggested_filename.startswith("whyclip.")


def test_errors_are_sentences(open_page: Open) -> None:
    page = open_page()
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": svg})
    page.wait_for_selector("[role=alert]:has-text('SVG')")
    after(page, lambda: page.get_by_role("button", name="Explain").click())
    page.fill("#prompts", "")
    page.wait_for_selector("[role=alert]:has-text('Write at least one prompt')")
    page.fill("#prompts", "a" * 400)
    page.wait_for_selector("[role=alert]:has-text('400 characters')")
    after(page, lambda: page.fill("#prompts", "a dog"))
    assert page.locator("[role=alert]").count() == 0
    big = {"name": "a.png", "mimeType": "image/png", "buffer": b"x" * 20_000_001}
    page.set_input_files("#file", big)
    page.wait_for_selector("[role=alert]:has-text('larger than 20 MB')")


def test_markup_in_a_prompt_is_text(open_page: Open) -> None:
    page = open_page()
    prompt = '<img src=x onerror="document.title=1"> & <b>dog</b>'
    after(page, lambda: page.fill("#prompts", prompt))
    assert headline(page).startswith("<img src=x")
    assert page.locator("h1 img").count() == 0
    assert page.title() == "whyclip"


def test_the_back_button_and_a_link_restore_the_page(open_page: Open) -> None:
    page = open_page()
    after(page, lambda: page.click('.example[data-id="four-objects"]'))
    assert headline(page) == "a penguin"
    after(page, lambda: page.select_option("#method", "game"))
    page.check("input[name=view][value=contour]")
    page.locator("h1 button", has_text="penguin").click()
    page.wait_for_selector("figcaption:has-text('penguin')")
    link = page.evaluate("location.hash")
    shown = pixels(page)
    other = open_page(link)
    other.wait_for_selector("figcaption:has-text('where “penguin” matches')")
    assert other.locator("#method").input_value() == "game"
    assert other.locator("input[name=view]:checked").input_value() == "contour"
    assert pixels(other) == shown
    page.go_back()
    page.wait_for_selector("figcaption:has-text('GAME')")
    after(page, page.go_back)
    page.wait_for_selector("figcaption:has-text('Decomposition')")
    after(page, page.go_back)
    assert headline(page) == "a dog next to a red car"
    after(page, page.go_forward)
    assert headline(page) == "a penguin"


def test_the_link_can_be_copied(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_selector(".status:has-text('copied')")
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_an_image_that_the_server_dropped_is_sent_again(open_page: Open, site: Site) -> None:
    page = open_page()
    after(page, lambda: page.set_input_files("#file", ROOT / "examples" / "off_centre.png"))
    kept = site.app.kept
    kept.images._values.clear()
    kept.images.weight = 0
    after(page, lambda: page.fill("#prompts", "an owl"))
    assert headline(page) == "an owl"
    assert len(kept.images) == 1


def test_a_slow_method_shows_progress_and_can_be_cancelled(open_page: Open, site: Site) -> None:
    page = open_page()
    page.select_option("#method", "rise")
    page.wait_for_selector(".status:has-text('%')")
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_selector(".status:has-text('Cancelled')")
    wait_until(lambda: site.app.worker.idle, 30)
    after(page, lambda: page.select_option("#method", "game"))
    assert page.locator("canvas.heat").count() == 1


def test_everything_works_by_keyboard(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the answer"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "answer"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.focus") == "word-1":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("figcaption:has-text('where “dog” matches')")
    assert page.evaluate("document.activeElement.dataset.focus") == "word-1"
    page.keyboard.press("Space")
    page.wait_for_selector("figcaption:has-text('Decomposition')")
    stage = page.locator("[data-focus=stage]")
    stage.focus()
    page.keyboard.press("ArrowUp")
    assert page.locator(".readout").inner_text().startswith("Row ")
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_selector("h2:has-text('Words in the box')")
    page.keyboard.press("Escape")
    page.wait_for_selector("h2:text-is('Words')")
    radio = page.locator("input[name=prompt]").first
    radio.focus()
    page.keyboard.press("ArrowDown")
    assert headline(page) == "a dog"


@pytest.mark.parametrize("width", [320, 390])
def test_phone_width(open_page: Open, width: int) -> None:
    page = open_page(size=(width, 700), has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    after(page, lambda: page.fill("#prompts", "a very-long-word-" * 12))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.locator("button:visible, select:visible, summary:visible").evaluate_all(
        "(all) => all.filter((n) => n.getBoundingClientRect().height < 24).map((n) => n.outerHTML)"
    )
    assert small == []


def test_dark_mode(open_page: Open) -> None:
    script = "getComputedStyle(document.body).backgroundColor"

    def light(page: Page) -> int:
        return sum(map(int, re.findall(r"\d+", page.evaluate(script))[:3]))

    assert light(open_page(scheme="dark")) < 120
    assert light(open_page(scheme="light")) > 600


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_serious_barrier(open_page: Open, scheme: str, size: tuple[int, int]) -> None:
    page = open_page(size=size, scheme=scheme, bypass_csp=True)
    keep(page, f"web-{'desktop' if size == DESKTOP else 'phone'}-{scheme}")
    page.add_script_tag(path=AXE)

    def barriers() -> list[str]:
        report = page.evaluate("axe.run({ resultTypes: ['violations'] })")
        return [
            f"{one['id']}: {node['html'][:150]}"
            for one in report["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    assert barriers() == []
    closed = page.locator("details:not([open]) > summary")
    while closed.count():
        closed.first.click()
    after(page, lambda: page.select_option("#beside", "clip_surgery"))
    page.get_by_role("button", name="Word–region lines").click()
    page.wait_for_selector(".lines .line", state="attached")
    assert barriers() == []
    page.locator("h1 button").first.click()
    page.fill("#prompts", "")
    page.wait_for_selector("[role=alert]")
    assert barriers() == []


def keep(page: Page, name: str) -> None:
    """Keep a screenshot where ``SHOTS`` says."""
    folder = os.environ.get("SHOTS")
    if folder:
        page.wait_for_timeout(4500)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_what_the_page_needs_is_what_it_loads(open_page: Open) -> None:
    page = open_page()
    names = page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    assert any(name.endswith("/static/paint.js") for name in names)
    assert json.dumps(names).count("http") == len(names)
