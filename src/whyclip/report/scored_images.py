"""Scored images of a report that can be sorted and filtered in the page."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from io import BytesIO

from PIL import Image

from whyclip.files import data_uri

# Sorts by score and hides images below the slider's value; works offline.
_SCRIPT = (
    "(f=>{const g=f.querySelector('.gallery'),r=f.querySelector('input'),"
    "s=f.querySelector('select'),o=f.querySelector('output');"
    "const c=[...g.children];const show=()=>{const least=+r.value,d=+s.value;"
    "c.sort((a,b)=>d*(a.dataset.score-b.dataset.score));"
    "c.forEach(x=>{x.hidden=+x.dataset.score<least;g.append(x)});"
    "o.value=r.value+': '+c.filter(x=>!x.hidden).length};"
    "r.oninput=s.onchange=show;show()})(document.currentScript.parentElement)"
)
SCRIPT_HASH = f"sha256-{b64encode(sha256(_SCRIPT.encode()).digest()).decode()}"
"""Hash of the script for a page's content security policy."""
_STYLE = (
    "display:grid;grid-template-columns:repeat(auto-fill,minmax(8rem,1fr));gap:.5rem;"
    "font-size:.8rem"
)


@dataclass(frozen=True)
class Card:
    """One image of a gallery.

    Attributes:
        image: displayed image.
        score: value for sorting and filtering.
        caption: one line of text.
    """

    image: Image.Image
    score: float
    caption: str


@dataclass(frozen=True)
class ScoredImages:
    """Images that the reader can sort and filter by score.

    Attributes:
        title: heading above the images.
        cards: the images.
        note: one or two sentences below the images.
    """

    title: str
    cards: tuple[Card, ...]
    note: str = ""

    def to_html(self) -> str:
        """Write a ``<figure>`` with its controls; all content is escaped."""
        scores = [card.score for card in self.cards]
        low, high = min(scores, default=0.0), max(scores, default=1.0)
        step = max((high - low) / 100, 1e-6)
        body = "".join(map(_card, self.cards))
        controls = (
            '<label>sort <select><option value="-1">highest score first</option>'
            '<option value="1">lowest score first</option></select></label> '
            f'<label>minimum score <input type="range" min="{low - step:.6f}" max="{high:.6f}" '
            f'step="{step:.6f}" value="{low - step:.6f}"></label> <output></output>'
        )
        note = f"<figcaption>{escape(self.note)}</figcaption>" if self.note else ""
        return (
            f'<figure class="card"><h3>{escape(self.title)}</h3>{controls}'
            f'<div class="gallery" style="{_STYLE}">{body}</div>{note}'
            f"<script>{_SCRIPT}</script></figure>"
        )

    def to_markdown(self) -> str:
        """Write the scores and captions as a list."""
        lines = [f"- {card.score:.3f}: {card.caption}" for card in self.cards]
        return "\n".join([f"**{self.title}**", "", *lines, "", self.note]).rstrip() + "\n"


def _card(card: Card) -> str:
    buffer = BytesIO()
    card.image.convert("RGB").save(buffer, "JPEG", quality=80)
    caption = escape(card.caption)
    return (
        f'<div data-score="{card.score:.6f}"><img loading="lazy" style="width:100%" '
        f'alt="{caption}" src="{data_uri("jpeg", buffer.getvalue())}"><br>{card.score:.3f} '
        f"<small>{caption}</small></div>"
    )
