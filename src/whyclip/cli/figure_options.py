"""Options of figures for papers: width, columns, font size, resolution, panels only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from whyclip.errors import OptionError

if TYPE_CHECKING:
    from whyclip.render.layout import Layout

PANEL = "Figures"
Width = Annotated[
    str | None,
    typer.Option(
        metavar="column|page|INCHES",
        rich_help_panel=PANEL,
        help="Width of a figure: [bold]column[/bold] (3.25 inches), [bold]page[/bold] (6.875) or a "
        "number of inches, without margin.",
    ),
]
Columns = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=PANEL,
        help="Maps per row. [dim]Default: as many as are readable.[/dim]",
    ),
]
FontSize = Annotated[
    float | None,
    typer.Option(
        metavar="POINTS", rich_help_panel=PANEL, help="Font size of prompts. [dim]Default: 8.[/dim]"
    ),
]
Dpi = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=PANEL,
        help="Pixels per inch of PNG and JPEG files, and of images in PDF and SVG. "
        "[dim]Default: 300.[/dim]",
    ),
]
Bare = Annotated[
    bool,
    typer.Option(
        "--bare",
        rich_help_panel=PANEL,
        help="Panels only: no header, scores, certificate or colour bar.",
    ),
]


def layout_of(
    width: str | None,
    columns: int | None,
    font_size: float | None,
    dpi: int | None,
    *,
    bare: bool,
) -> Layout | None:
    """Build the layout from the options; None if no option is given.

    Raises:
        OptionError: a value is out of range.
    """
    if (width, columns, font_size, dpi, bare) == (None, None, None, None, False):
        return None
    from whyclip.render.layout import DPI, WIDTHS, Layout

    wide: str | float = width or "page"
    if isinstance(wide, str) and wide not in WIDTHS:
        try:
            wide = float(wide)
        except ValueError:
            raise OptionError(
                f"--width {wide!r} is neither {' nor '.join(WIDTHS)} nor a number of inches"
            ) from None
    given = Layout(wide, columns)
    return Layout(
        given.width,
        columns,
        given.font_size if font_size is None else font_size,
        bare,
        DPI if dpi is None else dpi,
    )
