"""The directive `methods-table`: every method and what it claims, from the declarations."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from whyclip.methods import METHODS, Method

COLUMNS = (
    "method",
    "source",
    "towers",
    "depends on the prompt",
    "signed",
    "adds up to",
    "cost, in forward passes for n prompts",
    "explains",
)


def row(method: Method) -> tuple[str, ...]:
    """The cells of one method."""
    return (
        f"**{method.title}** `{method.name}`",
        method.source,
        ", ".join(method.sides),
        yes(method.text_specific),
        yes(method.signed),
        method.additive or "–",
        method.cost,
        method.explains,
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


def as_markdown() -> str:
    """The table, then each method's summary and options."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(row(method)) + " |" for method in METHODS.values()]
    for method in METHODS.values():
        lines += ["", f"## {method.title}", "", method.summary, "", options(method)]
    return "\n".join(lines)


class MethodsTable(SphinxDirective):
    """``methods-table``, without arguments."""

    def run(self) -> list[nodes.Node]:
        """Parse the table as Markdown where the directive stands."""
        return self.parse_text_to_nodes(as_markdown(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("methods-table", MethodsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
