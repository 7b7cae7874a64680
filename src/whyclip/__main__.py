"""``whyclip`` and ``python -m whyclip``: run the command line as a program."""

from __future__ import annotations

import gc
from typing import NoReturn

from whyclip.process import FAILED, leave, own_process


def run() -> NoReturn:
    """Run the command line on ``sys.argv`` and end the process."""
    own_process()
    gc.disable()
    from whyclip.cli.app import main

    gc.enable()
    try:
        main()
    except SystemExit as ending:
        leave(ending.code if isinstance(ending.code, int) else FAILED if ending.code else 0)


if __name__ == "__main__":
    run()
