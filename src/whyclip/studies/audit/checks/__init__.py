"""Every check.

A module here declares checks by a ``CHECK`` or ``CHECKS``; they are registered automatically.
"""

from __future__ import annotations

from whyclip.registry import Registry, look_up
from whyclip.studies.audit.check import PRINCIPLES, Check

__all__ = ["CHECKS", "get_check"]


CHECKS = Registry(
    "check",
    __name__,
    Check,
    *("CHECK", "CHECKS"),
    order=lambda check: list(PRINCIPLES).index(check.principle),
)


def get_check(name: str) -> Check:
    """Look a check up by its name.

    Raises:
        OptionError: no such check; the message names the nearest.
    """
    return look_up("check", name, CHECKS)
