"""The directives `methods-table` and `methods-list`: every method and what it claims.

Two, because headings that a directive parses come before whatever else it returns.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from whyclip.methods import METHODS, Method

COLUMNS = (
    "method",
    "reads",
    "by prompt",
    "signed",
    "explains",
    "cost",
    "adds up to",
    "source",
)


def row(method: Method) -> tuple[str, ...]:
    """The cells of one method."""
    return (
        f"**{method.title}** `{method.name}`",
        ", ".join(method.sides),
        yes(method.text_specific),
        yes(method.signed),
        method.explains,
        method.cost + "; slow" * method.slow,
        method.additive or "–",
        method.source,
    )


def yes(claim: bool) -> str:
    """A claim as a word."""
    return "yes" if claim else "no"


def options(method: Method) -> str:
    """The method's options with their defaults and other values."""
    if not method.options:
        return "No options."
    lines = []
    for name, default in method.options.items():
        others = [f"`{c}`" for c in method.choices.get(name, ()) if c != default]
        lines.append(f"- `{name}={default}`" + (f", or {', '.join(others)}" if others else ""))
    return "\n".join(lines)


def table() -> str:
    """One row for each method."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    return "\n".join(lines + ["| " + " | ".join(row(method)) + " |" for method in METHODS.values()])


def sections() -> str:
    """Each method's summary and options."""
    return "\n\n".join(
        f"## {method.title}\n\n{method.summary}\n\n{options(method)}" for method in METHODS.values()
    )


class MethodsTable(SphinxDirective):
    """``methods-table``, without arguments."""

    def run(self) -> list[nodes.Node]:
        """Parse the table as Markdown where the directive stands."""
        return self.parse_text_to_nodes(table())


class MethodsList(SphinxDirective):
    """``methods-list``, without arguments."""

    def run(self) -> list[nodes.Node]:
        """Parse a section for each method as Markdown where the directive stands."""
        return self.parse_text_to_nodes(sections(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("methods-table", MethodsTable)
    app.add_directive("methods-list", MethodsList)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
