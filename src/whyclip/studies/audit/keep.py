"""Audits in the user's cache, for explanations of the same model."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from whyclip.audit_index import (
    INDEX,
    AuditLink,
    folder_of,
    key_of,
    link_to_json,
    read_index,
)
from whyclip.errors import OutputError
from whyclip.files import cache_folder, write_atomic
from whyclip.studies.audit.check import PRINCIPLES
from whyclip.studies.audit.record import AuditRecord


def keep(audit: AuditRecord) -> Path:
    """Write an audit to the cache, with a link to it for each of its methods.

    Custom methods are distinguished from built-in methods only by their name.

    Returns:
        The audit's file.

    Raises:
        OutputError: the cache cannot be written; ``WHYCLIP_CACHE`` names another folder.
    """
    folder = folder_of(audit.fingerprint)
    path = folder / f"{audit.date.replace(':', '')}.json"
    index, known = folder / INDEX, {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if index.exists():
            known = dict(read_index(index, index.stat().st_mtime_ns))
    except OSError as error:
        raise OutputError(
            f"cache {str(folder)!r} cannot be written: {error.strerror}; "
            "set WHYCLIP_CACHE to another folder"
        ) from None
    for name, method in audit.methods.items():
        link = link_to(audit, name, path)
        known[key_of(method.name, method.options)] = link_to_json(link)
    write_atomic(path, partial(_bytes, audit.to_json()))
    write_atomic(index, partial(_bytes, known))
    return path


def link_to(audit: AuditRecord, method: str, file: Path) -> AuditLink:
    """Summarise the findings of an audit for one method."""
    failed = [f"{f.claim.title} ({f.side})" for f in audit.of(method) if f.verdict == "fail"]
    return AuditLink(
        date=audit.date,
        dataset=audit.dataset,
        samples=audit.samples,
        verdicts={
            side: {principle: audit.verdict(method, principle, side) for principle in PRINCIPLES}
            for side in audit.sides(method)
        },
        failed=tuple(failed),
        file=file.relative_to(cache_folder()).as_posix(),
    )


def _bytes(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode(
        "utf-8", "backslashreplace"
    )
