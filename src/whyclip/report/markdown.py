"""Convert Markdown of reports to HTML, with markdown-it-py."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

# Reports quote file names and labels, which must not create links, images or hidden text.
_LEFT_OUT = (
    "link",
    "image",
    "autolink",
    "reference",
    "entity",
    "escape",
    "html_inline",
    "html_block",
)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).disable(list(_LEFT_OUT))


def inline(text: str) -> str:
    """Convert a line to HTML: code, emphasis and strong emphasis.

    Example:
        >>> inline("run `a < b` **now**")
        'run <code>a &lt; b</code> <strong>now</strong>'
    """
    return _parser().renderInline(text)


def prose(text: str) -> str:
    r"""Convert CommonMark to HTML; HTML, links and images in it are shown as text.

    Example:
        >>> prose("## Why\n\nAs follows:\n\n- one\n- two").replace("\n", "")
        '<h2>Why</h2><p>As follows:</p><ul><li>one</li><li>two</li></ul>'
    """
    return _parser().render(text)
