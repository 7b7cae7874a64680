"""The directive `checks-list`: every check of the audit, from the declarations."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from whyclip.studies.audit import CHECKS, PRINCIPLES, Check


def entry(check: Check) -> str:
    """One check as an item of a list."""
    bound = "above" if check.higher_is_better else "below"
    sides = " and ".join(check.sides)
    needs = f"; needs {' and '.join(check.needs)}" if check.needs else ""
    return "\n".join(
        (
            f"- **{check.title}** (`{check.name}`; {sides}{needs}). {check.question}",
            "",
            f"  Value: {check.formula}.",
            "",
            f"  Passes {bound} {check.threshold:g}. {check.reason}",
            "",
            *([] if check.by_default else ["  Measured only if you name it.", ""]),
            *([f"  Replaced by `{check.replaced_by}`. {check.caveat}", ""] if check.caveat else ()),
        )
    )


def as_markdown() -> str:
    """A list for each principle."""
    lines = []
    for principle, claim in PRINCIPLES.items():
        lines += [f"### {claim.capitalize()}", ""]
        lines += [entry(c) for c in CHECKS.values() if c.principle == principle]
    return "\n".join(lines)


class ChecksList(SphinxDirective):
    """``checks-list``, without arguments."""

    def run(self) -> list[nodes.Node]:
        """Parse the lists as Markdown where the directive stands."""
        return self.parse_text_to_nodes(as_markdown(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("checks-list", ChecksList)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
