"""The directive `checks-table`: every check of the audit, from the declarations."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from whyclip.audit import CHECKS, PRINCIPLES, Check

COLUMNS = ("check", "side", "asks", "value", "passes", "why there", "needs")


def row(check: Check) -> tuple[str, ...]:
    """The cells of one check."""
    bound = "above" if check.higher_is_better else "below"
    return (
        f"**{check.title}** `{check.name}`",
        ", ".join(check.sides),
        check.question,
        # Bars would end the cell.
        check.formula.replace("|", "\\|"),
        f"{bound} {check.threshold:g}",
        check.reason,
        ", ".join(check.needs) or "–",
    )


def as_markdown() -> str:
    """A table for each principle."""
    lines = []
    for principle, claim in PRINCIPLES.items():
        lines += ["", f"### Does it {infinitive(claim)}?", ""]
        lines += ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
        asked = [check for check in CHECKS.values() if check.principle == principle]
        lines += ["| " + " | ".join(row(check)) + " |" for check in asked]
    return "\n".join(lines)


def infinitive(claim: str) -> str:
    """``"explains the model"`` to ``"explain the model"``."""
    verb, _, rest = claim.partition(" ")
    return f"{verb.removesuffix('s')} {rest}"


class ChecksTable(SphinxDirective):
    """``checks-table``, without arguments."""

    def run(self) -> list[nodes.Node]:
        """Parse the tables as Markdown where the directive stands."""
        return self.parse_text_to_nodes(as_markdown(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("checks-table", ChecksTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
