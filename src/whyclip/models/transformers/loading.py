"""Load models of transformers from names and folders, with all weights from the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from whyclip.errors import OptionError, UnsupportedModelError
from whyclip.models.fetching import fetching
from whyclip.models.transformers.families import family_of
from whyclip.models.weights_file import few

# Vocabulary files; without them, the library builds a tokenizer of a few special tokens.
VOCABULARIES = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
# Weights in a file that do not affect scores of the supported classes.
HARMLESS = re.compile(
    # Position ids, which earlier versions of the library saved.
    r"(^|\.)position_ids$"
    # BERT's pooler, which the text embedding does not use.
    r"|(^|\.)pooler\.dense\."
    # Training heads: image–text matching, language modelling, captions.
    r"|^(itm_head|lm_head|cls|text_decoder)\."
)


def load_hf(name: str, spec: str, device: torch.device) -> tuple[Any, Any, Any]:
    """Load a model of transformers by name or folder.

    Args:
        name: name of a repository or a folder.
        spec: the user's input, for errors.
        device: device of the model.

    Returns:
        Model, image processor and tokenizer; None for the tokenizer of a classifier.

    Raises:
        OptionError: no such folder, transformers is missing, or the folder is incomplete.
        HubError: the weights cannot be downloaded.
        UnsupportedModelError: an unknown class, or weights that do not fit it.
    """
    try:
        import transformers
    except ImportError:
        raise OptionError(
            f"model {spec!r} needs transformers; install it with pip install 'whyclip[hf]'"
        ) from None
    folder = Path(name).expanduser()
    local = folder.is_dir()
    if not local and (folder.is_absolute() or name.startswith(".")):
        raise OptionError(f"no such folder: {name!r}")
    source = str(folder) if local else name
    # Without this, the library would ask on the terminal whether to run code.
    safe = {"trust_remote_code": False}
    with fetching(spec, local):
        config = transformers.AutoConfig.from_pretrained(source, **safe)
        class_name, family = family_of(list(config.architectures or ()), spec)
        if local and family.reads_text and not any((folder / f).is_file() for f in VOCABULARIES):
            raise OptionError(
                f"folder {name!r:.60} has no tokenizer; save it there: "
                "tokenizer.save_pretrained(FOLDER)"
            )
        model, report = getattr(transformers, class_name).from_pretrained(
            source, output_loading_info=True, ignore_mismatched_sizes=True
        )
        check_report(report, class_name, spec)
        preprocess = transformers.AutoImageProcessor.from_pretrained(source, **safe)
        tokenizer = None
        if family.reads_text:
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, **safe)
    return model.eval().to(device), preprocess, tokenizer


def check_report(report: Mapping[str, Iterable[Any]], class_name: str, spec: str) -> None:
    """Check that no weight is random and that all weights of the file are used.

    Args:
        report: the library's loading info.
        class_name: class of the model.
        spec: the user's input.


    Raises:
        UnsupportedModelError: some weights are random or unused; the message names the first keys.
    """
    what = f"model {spec!r:.60}"
    sizes = list(report["mismatched_keys"])
    if sizes:
        key, actual, expected = min(sizes)
        more = f"; {len(sizes)} shapes differ" if len(sizes) > 1 else ""
        raise UnsupportedModelError(
            f"{what} does not fit {class_name}: {key!r:.90} is {_shape(actual)}, expected "
            f"{_shape(expected)}{more}"
        )
    missing = set(report["missing_keys"])
    if missing:
        raise UnsupportedModelError(
            f"{what} lacks {len(missing)} weights of {class_name} ({few(missing)}); they would be "
            "random numbers"
        )
    unread = {key for key in report["unexpected_keys"] if not HARMLESS.search(key)}
    if unread:
        raise UnsupportedModelError(
            f"{what} has {len(unread)} weights that {class_name} does not use ({few(unread)}); "
            "if that is intended, load it yourself and use whyclip.wrap"
        )


def _shape(sizes: Iterable[int]) -> str:
    return "×".join(map(str, sizes)) or "one number"
