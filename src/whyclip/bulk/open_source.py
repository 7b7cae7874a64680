"""Open a source from the user's specification."""

from __future__ import annotations

from whyclip.bulk.dataset_source import DatasetSource
from whyclip.bulk.file_source import FileSource
from whyclip.bulk.source import Source
from whyclip.bulk.table_source import Columns, CsvSource, HfSource, ParquetSource
from whyclip.bulk.tar_source import TarSource
from whyclip.datasets.load import dataset_kinds
from whyclip.errors import OptionError

TARS = (".tar", ".tar.gz", ".tgz")


def open_source(
    spec: str,
    *,
    image_column: str = "image",
    prompt_column: str | None = None,
    own_prompts: bool = False,
    outside: bool = False,
) -> Source:
    """Open images in a fixed order.

    Args:
        spec: a folder, a pattern, a ``.csv`` or ``.parquet`` file, tars (``data-{00..11}.tar``),
            ``hf:FOLDER[#SPLIT]``, a dataset (``scenes:200``), or an fsspec address of one of the
            first four.
        image_column: column of a table with paths, addresses or encoded images.
        prompt_column: column of each image's prompts; in tars, an extension or a field of the JSON.
        own_prompts: whether to use the prompts of a dataset's labels.
        outside: whether a table may name addresses, and files outside its folder.

    Raises:
        InputError: there is no usable image.
        OptionError: a column is missing, or the source has no columns.
    """
    columns = Columns(image_column, prompt_column)
    lower = spec.lower().partition("?")[0]
    kind, colon, rest = spec.partition(":")
    if lower.endswith(".csv") and not (colon and kind in dataset_kinds()):
        return CsvSource(spec, columns, outside)
    if lower.endswith(".parquet"):
        return ParquetSource(spec, columns, outside)
    if lower.endswith(TARS) or kind == "wds":
        return TarSource(spec, prompt_column)
    if kind == "hf" and colon and not rest.startswith("//"):
        return HfSource(rest, columns, outside)
    if prompt_column is not None:
        raise OptionError(f"prompt column {prompt_column!r}: {spec!r:.80} is not a table or tar")
    if colon and kind in dataset_kinds() and not rest.startswith("//"):
        return DatasetSource(spec, own_prompts, outside)
    return FileSource(spec)
