"""``whyclip web``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from whyclip.cli import options
from whyclip.cli.shared import load
from whyclip.cli.terminal import note, progress, stdout
from whyclip.errors import OptionError
from whyclip.process import importing

PORT = 8765

HELP = """
Open a page in the browser that explains images.

Drop in an image, type prompts, and click a word to see its map. The page runs only on this \
machine and loads nothing from the internet. Stop it with Ctrl-C. Needs: pip install \
'whyclip\\[web]'.

\b
[bold]Examples[/bold]
  whyclip web
  [dim]# with another model, without opening a browser[/dim]
  whyclip web --model openclip:ViT-B-16/openai --no-open
  [dim]# show whether a score is a match at all[/dim]
  whyclip reference photos/ --out photos.npz
  whyclip web --reference photos.npz
"""


def web(
    model: options.Model = "mini",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = PORT,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on. The default can be reached only from this machine.",
        ),
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name of this machine for browsers on other machines; required with --host.",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File of whyclip reference, to show whether a score is a match at all.",
        ),
    ] = None,
    device: options.Device = None,
) -> None:
    """See ``HELP``."""
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise OptionError(f"whyclip web needs {' and '.join(missing)}; pip install 'whyclip[web]'")
    with progress(3) as begin:
        begin("starting")
        with importing():
            from whyclip.matching import load_reference
            from whyclip.web.serve import address_of, hosts_of, is_loopback, listen, serve

        # Before the model is loaded, so that a port in use is reported at once.
        bound = listen(host, port)
        options.check_device(device)
        compared = None if reference is None else load_reference(reference)
        begin(f"loading {model}")
        view = load(model, device)
        if compared is not None:
            compared.check(view)
    if not is_loopback(host):
        note(f"anyone who can reach {host} can use this page; there is no password")
    address = address_of(bound)

    def ready() -> None:
        stdout().print(f"whyclip runs at {address} (Ctrl-C stops it)", highlight=False)
        if open_browser:
            import webbrowser

            webbrowser.open(address)

    serve(view, bound, hosts_of(host, allow_host or ()), ready=ready, reference=compared)
