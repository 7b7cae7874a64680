"""The directives `methods-table` and `methods-list`: every method and what it claims.

Two, because headings that a directive parses come before whatever else it returns.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from whyclip.methods import METHODS, Method

COLUMNS = ("method", "sides", "by prompt", "signed", "derived from", "speed")
SCOPES = {
    "score": "the score",
    "attention": "attention weights",
    "features": "dense features",
    "baseline": "nothing",
}


def row(method: Method) -> tuple[str, ...]:
    """The cells of one method."""
    return (
        f"**{method.title}** `{method.name}`",
        ", ".join(method.sides),
        yes(method.text_specific),
        yes(method.signed),
        SCOPES.get(method.scope, method.scope),
        "slow" if method.slow else "fast",
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


def claims(method: Method) -> str:
    """What the method explains, costs and adds up to, and its source."""
    facts = {
        "Explains": method.explains,
        "Adds up to": method.sums_to,
        "Cost": method.cost,
        "Source": method.source,
    }
    return " ".join(f"*{name}*: {fact}." for name, fact in facts.items() if fact)


def sections() -> str:
    """Each method's summary, claims and options."""
    return "\n\n".join(
        f"## {method.title}\n\n{method.summary}\n\n{claims(method)}\n\n{options(method)}"
        for method in METHODS.values()
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
