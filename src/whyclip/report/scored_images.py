"""Images with a score in a report, sorted and filtered in the page itself."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from io import BytesIO

from PIL import Image

from whyclip.files import data_uri

# Sorts by the score, and hides what is below the slider. Works without any network.
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
"""The script as a page's content security policy names it."""
_STYLE = (
    "display:grid;grid-template-columns:repeat(auto-fill,minmax(8rem,1fr));gap:.5rem;"
    "font-size:.8rem"
)


@dataclass(frozen=True)
class Card:
    """One image of a gallery.

    Attributes:
        image: to show.
        score: by which it is sorted and filtered.
        caption: one line.
    """

    image: Image.Image
    score: float
    caption: str


@dataclass(frozen=True)
class ScoredImages:
    """Images that the reader sorts and filters by score.

    Attributes:
        title: above it.
        cards: the images.
        note: one or two sentences below it.
    """

    title: str
    cards: tuple[Card, ...]
    note: str = ""

    def to_html(self) -> str:
        """A ``<figure>`` with its controls; everything from outside is escaped."""
        scores = [card.score for card in self.cards]
        low, high = min(scores, default=0.0), max(scores, default=1.0)
        step = max((high - low) / 100, 1e-6)
        body = "".join(map(_card, self.cards))
        controls = (
            '<label>sort <select><option value="-1">highest score first</option>'
            '<option value="1">lowest score first</option></select></label> '
            f'<label>least score <input type="range" min="{low - step:.6f}" max="{high:.6f}" '
            f'step="{step:.6f}" value="{low - step:.6f}"></label> <output></output>'
        )
        note = f"<figcaption>{escape(self.note)}</figcaption>" if self.note else ""
        return (
            f'<figure class="card"><h3>{escape(self.title)}</h3>{controls}'
            f'<div class="gallery" style="{_STYLE}">{body}</div>{note}'
            f"<script>{_SCRIPT}</script></figure>"
        )

    def to_markdown(self) -> str:
        """The scores and captions as a list."""
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
