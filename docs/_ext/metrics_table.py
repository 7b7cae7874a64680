"""The directives `metrics-table` and `metrics-list`: every metric, from its declaration.

Two, because headings that a directive parses come before whatever else it returns.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from whyclip.metrics import METRICS, Metric

COLUMNS = ("metric", "better", "input", "source")
SECTIONS = ("Args", "Returns", "Raises", "Example")


def sections(function: Callable[..., Any]) -> dict[str, str]:
    """A docstring by its sections; what stands before the first is under an empty name."""
    pattern = rf"(?m)^({'|'.join(SECTIONS)}):\n"
    parts = re.split(pattern, inspect.getdoc(function) or "")
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def text(written: str) -> str:
    """A part of a docstring as Markdown."""
    plain = re.sub(r":\w+:`~?\.?([^`]*\.)?([^`.]+)`", r"`\2`", inspect.cleandoc(written))
    return plain.replace("``", "`").strip()


def argument(function: Callable[..., Any], name: str) -> str:
    """What a docstring says of one argument."""
    found = re.search(rf"(?ms)^ *{name}: (.*?)(?=^ *\w+: |\Z)", sections(function).get("Args", ""))
    return text(" ".join(found[1].split())) if found else ""


def looks_at(metric: Metric) -> str:
    """What is read from the model's answer, or the mask."""
    if not metric.readings:
        return "the object's mask"
    what = "words: " if metric.side == "text" else ""
    return what + ", ".join(f"`{read}`" for read in metric.readings)


def row(metric: Metric) -> tuple[str, ...]:
    """The cells of one metric."""
    better = "higher ↑" if metric.higher_is_better else "lower ↓"
    name = f"[{metric.title}](#{anchor(metric)}) `{metric.name}`"
    return (name, better, looks_at(metric), metric.source)


def anchor(metric: Metric) -> str:
    """Where its section is, as MyST names the headings."""
    return re.sub(r"[^\w\- ]", "", metric.title.lower()).replace(" ", "-")


def section(metric: Metric) -> str:
    """Formula, what is edited, and what comes of input that says nothing."""
    own = sections(metric.value)
    parts = [f"## {metric.title}", text(own[""])]
    if metric.edits is not None:
        edits = metric.edits
        told = f"Input: {text(sections(edits)[''])}"
        given = "words" if metric.side == "text" else "heatmap"
        what = re.sub(r"^[\w ]*`\[[^`]*`[;.] ?", "", argument(edits, given))
        told += f" The {'words' if given == 'words' else 'map'}: {what}" if what else ""
        parts.append(told)
    if "Returns" in own and not re.fullmatch(r"`\[[^`]*`\.", text(own["Returns"])):
        # The shape is of the function and not of the metric.
        value = re.sub(r"^(?:float32 )?`\[[^`]*`[,;.] ?", "", text(own["Returns"]))
        parts.append(f"Value: {value}")
    parts.append(f"Source: {metric.source}.")
    return "\n\n".join(parts)


def table() -> str:
    """One row for each metric."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    return "\n".join(lines + ["| " + " | ".join(row(metric)) + " |" for metric in METRICS.values()])


class MetricsTable(SphinxDirective):
    """``metrics-table``, without arguments."""

    def run(self) -> list[nodes.Node]:
        """Parse the table as Markdown where the directive stands."""
        return self.parse_text_to_nodes(table())


class MetricsList(SphinxDirective):
    """``metrics-list``, without arguments."""

    def run(self) -> list[nodes.Node]:
        """Parse a section for each metric as Markdown where the directive stands."""
        written = "\n\n".join(map(section, METRICS.values()))
        return self.parse_text_to_nodes(written, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("metrics-table", MetricsTable)
    app.add_directive("metrics-list", MetricsList)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
