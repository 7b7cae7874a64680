"""Every check, gathered from the files of this folder.

A module here that has a ``CHECK`` or ``CHECKS`` declares checks; nothing else needs to be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from whyclip.audit.check import PRINCIPLES, Check
from whyclip.errors import unknown

__all__ = ["CHECKS", "get_check"]


def _gather() -> Mapping[str, Check]:
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    checks: list[Check] = []
    for module in modules:
        checks += [module.CHECK] if hasattr(module, "CHECK") else getattr(module, "CHECKS", ())
    order = list(PRINCIPLES)
    checks.sort(key=lambda check: order.index(check.principle))
    return MappingProxyType({check.name: check for check in checks})


CHECKS: Mapping[str, Check] = _gather()


def get_check(name: str) -> Check:
    """Look a check up by its name.

    Raises:
        OptionError: no such check; the message names the nearest.
    """
    if name not in CHECKS:
        raise unknown("check", name, CHECKS)
    return CHECKS[name]
