"""The directive `datasets-table`: every kind of dataset, from the declarations."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from whyclip.datasets import dataset_kinds

COLUMNS = ("`--data`", "dataset", "files", "masks", "source")


def as_markdown() -> str:
    """A row for each kind."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for kind in dataset_kinds().values():
        masks = "yes" if kind.has_masks else "no"
        cells = (f"`{kind.name}:{kind.form}`", kind.title, kind.layout, masks, kind.source)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


class DatasetsTable(SphinxDirective):
    """``datasets-table``, without arguments."""

    def run(self) -> list[nodes.Node]:
        """Parse the table as Markdown where the directive stands."""
        return self.parse_text_to_nodes(as_markdown())


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("datasets-table", DatasetsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
