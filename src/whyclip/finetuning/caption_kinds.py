"""Open caption data by the name of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from whyclip.errors import InputError, OptionError, quoted, unknown
from whyclip.finetuning.captions import CaptionData

KINDS = ("csv", "hf", "parquet", "scenes", "wds")
_BY_EXTENSION = {".csv": "csv", ".parquet": "parquet", ".tar": "wds", ".tar.gz": "wds"}


def open_kind(
    spec: str,
    fraction: float,
    seed: int,
    true_masks: bool,
    outside: bool,
    split: str,
    columns: Mapping[str, str],
) -> CaptionData:
    """Open ``KIND:REST``; the arguments are those of `captions.open_captions`."""
    kind, _, rest = spec.partition(":")
    for extension, known in _BY_EXTENSION.items():
        if kind not in KINDS and spec.lower().endswith(extension):
            kind, rest = known, spec
    if kind not in KINDS:
        raise unknown("kind of caption data", quoted(kind).strip("'\""), KINDS)
    if true_masks and kind != "scenes":
        raise OptionError(f"true masks of {quoted(spec)}; only scenes:N has the masks of phrases")
    if not rest:
        raise InputError(f"{quoted(spec)} names no data; give {kind}: and a file, folder or number")
    if kind == "scenes":
        from whyclip.finetuning.scene_captions import open_scenes

        return open_scenes(rest, fraction, seed, true_masks, split)
    if kind == "wds":
        from whyclip.finetuning.tar_captions import TarCaptions

        return TarCaptions(rest, fraction=fraction, seed=seed)
    from whyclip.finetuning import table_captions

    build: dict[str, Callable[..., CaptionData]] = {
        "csv": table_captions.CsvCaptions,
        "parquet": table_captions.ParquetCaptions,
        "hf": table_captions.HfCaptions,
    }
    return build[kind](rest, columns=columns, fraction=fraction, seed=seed, outside=outside)
