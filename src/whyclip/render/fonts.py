"""Fonts of figures: DejaVu Sans, and installed fonts for scripts that it lacks."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Any

from whyclip.errors import WhyclipWarning

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry, FontProperties

_settings = RLock()

DEFAULT_FONT = "DejaVu Sans"
"""Included in matplotlib, so that figures look the same everywhere."""

# Sans-serif fonts with many characters, tried before other installed ones.
_PREFERRED = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Malgun Gothic",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Noto Sans",
    "Arial Unicode MS",
)
_MOST_QUOTED = 3
_warned: set[str] = set()


def font(text: str, size: float, weight: str) -> FontProperties:
    """Return the fonts for a line of text: the default and, if that lacks characters, others."""
    from matplotlib.font_manager import FontProperties

    return FontProperties(family=_families(_foreign(text)), size=size, weight=weight)


def warn_of_boxes(text: str) -> None:
    """Warn once for each character that no installed font can draw."""
    missing = [c for c in _foreign(text) if _family(c) is None and c not in _warned]
    if not missing:
        return
    _warned.update(missing)
    more = ", …" if len(missing) > _MOST_QUOTED else ""
    warnings.warn(
        f"no installed font has {', '.join(map(repr, missing[:_MOST_QUOTED]))}{more}, so figures "
        "show boxes; install a font with these characters, or save as .html",
        WhyclipWarning,
        stacklevel=2,
    )


@contextmanager
def matplotlib_settings(values: Mapping[Any, Any]) -> Iterator[None]:
    """Change matplotlib's settings during a block, in one thread at a time.

    The settings are process-wide. If two blocks overlapped, the last one would restore the other's
    settings.
    """
    import matplotlib

    with _settings, matplotlib.rc_context(dict(values)):
        yield


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Hide matplotlib's repeated warnings about missing glyphs and weights."""
    logger = logging.getLogger("matplotlib.font_manager")
    logger.addFilter(_nothing)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
            yield
    finally:
        logger.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return record.levelno > logging.WARNING


def _foreign(text: str) -> tuple[str, ...]:
    """Return the characters that the default font lacks, without repeats."""
    available = _default_charmap()
    return tuple(dict.fromkeys(c for c in text if ord(c) not in available and c.isprintable()))


@cache
def _default_charmap() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, fontManager, get_font

    return frozenset(get_font(fontManager.findfont(FontProperties(DEFAULT_FONT))).get_charmap())


def _families(characters: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([DEFAULT_FONT, *filter(None, map(_family, characters))]))


@cache
def _family(character: str) -> str | None:
    """Return an installed family that can draw this character, or None."""
    for entry in _installed():
        if ord(character) in _charmap(entry.fname) and _draws(entry.fname, character):
            return entry.name
    return None


@cache
def _installed() -> list[FontEntry]:
    """Return one upright entry per family, in the order in which they are tried."""
    from matplotlib.font_manager import fontManager

    regular = [e for e in fontManager.ttflist if e.style == "normal" and _is_for_text(e)]
    regular.sort(key=lambda e: (_rank(e.name), e.name, abs(_weight(e.weight) - 400)))
    return list({entry.name: entry for entry in reversed(regular)}.values())[::-1]


def _is_for_text(entry: FontEntry) -> bool:
    """Whether a font is for text; matplotlib also has fonts for formulas and boxes."""
    import matplotlib

    bundled = entry.fname.startswith(matplotlib.get_data_path())
    return not bundled or entry.name.startswith("DejaVu S")


def _rank(name: str) -> int:
    return _PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED)


def _weight(weight: str | int) -> int:
    return weight if isinstance(weight, int) else 400


@cache
def _charmap(path: str) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


def _draws(path: str, character: str) -> bool:
    """Whether matplotlib can draw a font's characters; it cannot draw coloured bitmaps."""
    from matplotlib.font_manager import get_font

    try:
        loaded = get_font(path)
        loaded.set_size(10, 100)
        loaded.load_char(ord(character))
    except (OSError, RuntimeError):
        return False
    return True
