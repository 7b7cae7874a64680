"""Every check, gathered from the files of this folder.

A module here that has a ``CHECK`` or ``CHECKS`` declares checks; nothing else needs to be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from whyclip.audit.check import PRINCIPLES, Check
from whyclip.gather import gather, look_up

__all__ = ["CHECKS", "get_check"]


def _in_order(found: Mapping[str, Check]) -> Mapping[str, Check]:
    order = list(PRINCIPLES)
    checks = sorted(found.values(), key=lambda check: order.index(check.principle))
    return MappingProxyType({check.name: check for check in checks})


CHECKS: Mapping[str, Check] = _in_order(gather(__name__, __path__, "CHECK", "CHECKS"))


def get_check(name: str) -> Check:
    """Look a check up by its name.

    Raises:
        OptionError: no such check; the message names the nearest.
    """
    return look_up("check", name, CHECKS)
