"""Command line that reproduces a report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


def command_line(command: str, options: Mapping[str, Any]) -> str:
    """Format a command for a shell.

    Args:
        command: command with arguments, for example ``"reproduce equality"``.
        options: values by option: a list for repeated options, True for a flag. Options with None,
            False or an empty list are omitted.

    Example:
        >>> command_line("audit", {"--limit": 3, "--data": None, "--threshold": ["a=1", "b=2"]})
        'whyclip audit --limit 3 --threshold a=1 --threshold b=2'
        >>> command_line("evaluate", {"--seed": 0, "--outside": True})
        'whyclip evaluate --seed 0 --outside'
    """
    words = ["whyclip", *command.split()]
    for option, value in options.items():
        if isinstance(value, bool):
            words += [option] if value else []
            continue
        values = value if isinstance(value, list) else [] if value is None else [value]
        words += [word for item in values for word in (option, str(item))]
    return shlex.join(words)
