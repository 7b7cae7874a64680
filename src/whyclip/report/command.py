"""What to type to get a report again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


def command_line(command: str, given: Mapping[str, Any]) -> str:
    """Write a command as a shell reads it.

    Args:
        command: of whyclip, with its arguments, such as ``"reproduce equality"``.
        given: by option its value; a list for an option that is given several times; True for a
            switch. None, False and the empty list leave it out.

    Example:
        >>> command_line("audit", {"--limit": 3, "--data": None, "--threshold": ["a=1", "b=2"]})
        'whyclip audit --limit 3 --threshold a=1 --threshold b=2'
        >>> command_line("evaluate", {"--seed": 0, "--outside": True})
        'whyclip evaluate --seed 0 --outside'
    """
    words = ["whyclip", *command.split()]
    for option, value in given.items():
        if isinstance(value, bool):
            words += [option] if value else []
            continue
        values = value if isinstance(value, list) else [] if value is None else [value]
        words += [word for one in values for word in (option, str(one))]
    return shlex.join(words)
