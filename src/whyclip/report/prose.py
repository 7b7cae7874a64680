"""Paragraphs in the smallest part of Markdown: headings, lists, `code` and **bold**."""

from __future__ import annotations

import re
from html import escape

_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")


def inline(text: str) -> str:
    """Turn a line into HTML; nothing but code and bold has a meaning.

    Example:
        >>> inline("run `a < b` **now**")
        'run <code>a &lt; b</code> <b>now</b>'
    """
    parts, end = [], 0
    for found in _INLINE.finditer(text):
        parts.append(escape(text[end : found.start()]))
        code, bold = found.groups()
        parts.append(f"<code>{escape(code)}</code>" if code else f"<b>{escape(bold)}</b>")
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def prose(text: str) -> str:
    r"""Turn a section into HTML.

    A line that begins with ``##`` or ``###`` is a heading, lines with ``-`` are a list, indented
    lines are shown as they are, and an empty line ends a paragraph.

    Example:
        >>> prose("## Why\n\nAs follows:\n\n- one\n- two")
        '<h2>Why</h2><p>As follows:</p><ul><li>one</li><li>two</li></ul>'
    """
    return "".join(map(_block, re.split(r"\n\s*\n", text.strip("\n"))))


def _block(block: str) -> str:
    lines = block.splitlines()
    if all(line.startswith("    ") for line in lines):
        return f"<pre>{escape(chr(10).join(line[4:] for line in lines))}</pre>"
    if all(line.startswith("- ") for line in lines):
        return f"<ul>{''.join(f'<li>{inline(line[2:])}</li>' for line in lines)}</ul>"
    heading = re.match(r"(#{2,3}) +(.*)", lines[0])
    if heading:
        level = len(heading[1])
        rest = "\n".join(lines[1:])
        return f"<h{level}>{inline(heading[2])}</h{level}>" + (_block(rest) if rest else "")
    return f"<p>{inline(' '.join(line.strip() for line in lines))}</p>"
