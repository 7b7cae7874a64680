"""Result of a comparison of methods."""

from __future__ import annotations

from whyclip.explanation import Explanation

# One tab each; more would add megabytes to a notebook.
SHOWN = 24


class Comparison(dict[str, list[Explanation]]):
    """The explanations of each method, one per image, in the order of the images.

    A notebook shows it as a page with a tab for each method and image.
    """

    def _repr_html_(self) -> str:
        from whyclip.render.page import framed, page

        images = max(map(len, self.values()), default=0)
        every = [results[index] for index in range(images) for results in self.values()]
        if not every:
            return "<p>whyclip comparison: no explanation</p>"
        more = len(every) - SHOWN
        note = f"<p>{more} more explanations are not shown.</p>" if more > 0 else ""
        return framed(page(every[:SHOWN]), "whyclip comparison") + note

    def __repr__(self) -> str:
        images = max(map(len, self.values()), default=0)
        return f"Comparison({', '.join(self)}; {images} image{'s' * (images != 1)})"
