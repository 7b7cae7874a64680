"""Run both encoders once, decompose both embeddings, and multiply the parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from whyclip.ambient import in_plain_state
from whyclip.assemble import checked_of
from whyclip.batches import batches
from whyclip.certificate import Certificate
from whyclip.encoded_prompts import EncodedPrompts, encode_prompts
from whyclip.errors import OptionError, PromptError, UnsupportedModelError, quoted
from whyclip.forward.fidelity import tolerance_of
from whyclip.forward.forward_pass import ForwardPass
from whyclip.image_pass import run_images
from whyclip.inputs import ImageSource, Tokens, word_relevance
from whyclip.interactions.result import DEFAULT, Interaction
from whyclip.models import ModelView
from whyclip.models.state import check_asked, check_state
from whyclip.options import checked
from whyclip.types import INTERACTION, GeometryName, Precision, Word
from whyclip.vectors import Chosen, Vectors, choose
from whyclip.vectors.names import UNATTRIBUTED, image_remainders, text_remainders

# Remainders without a computed vector; not part of ``Interaction.total``.
OF_NO_WORD = "pieces of no word"


@in_plain_state
def interaction(
    model: ModelView,
    image: ImageSource,
    prompt: str,
    *,
    words: str = DEFAULT,
    regions: str = DEFAULT,
    against: Any = None,
    text_layers: int | None = None,
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
) -> Interaction:
    """Compute the word–region relevance of a prompt and an image.

    Both embeddings are sums, F_I = Σ_j c_j and F_T = Σ_i d_i, of one vector per patch or word and a
    few named remainders. The cosine is then the sum of ``d_i · c_j / (|F_I||F_T|)`` over all pairs,
    which is the table. By default the vectors are those of readout paths
    (:func:`whyclip.methods.paths.readout_paths`), which cost about one forward pass and no
    gradient. Related: second-order attributions of dual encoders, Möller et al. 2024 (arXiv
    2408.14153).

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`.
        image: a path, PIL image, array or tensor.
        prompt: one string.
        words: decomposition of the text embedding: ``"readout"``, ``"direct"``, ``"first_order"``,
            ``"integrated_gradients"``, ``"leave_one_out"`` or ``"shapley"``, with options as in
            ``"shapley:permutations=500:seed=1"``.
        regions: decomposition of the image embedding: one of the first four, or ``"banzhaf"`` over
            7×7 blocks.
        against: as for :func:`whyclip.explain`; the table then has a row for the contrast prompts,
            and its sum is the score difference.
        text_layers: for ``words="first_order"``, the number of last text blocks to sum; 8 by
            default.
        geometry: as for :func:`whyclip.explain`.
        precision: as for :func:`whyclip.explain`.

    Raises:
        InputError: the image, prompt or an option cannot be used.
        UnsupportedModelError: an encoder does not support its decomposition, or the model is in
            training mode.
        ScoreMismatchError: the sum of the parts differs from the model's score.
    """
    check_asked(model, geometry, precision)
    check_state(model)
    if not isinstance(prompt, str):
        raise PromptError(
            f"prompt {quoted(prompt)}: an interaction takes one string, such as 'a dog'"
        )
    by_word, by_region = _chosen(words, regions, text_layers)
    if model.classes is not None:
        raise UnsupportedModelError(f"{model.name} is a classifier, whose prompts have no words")
    keep = by_region.blocks_needed(model.image)
    encoded = encode_prompts(
        model, prompt, against, keep=by_word.blocks_needed(model.text), precision=precision
    )
    [batch] = batches(model, [image], geometry)
    targets, own_targets = encoded.targets(), encoded.own_targets()
    images = run_images(model, batch, targets, keep, precision, "all")
    seen = images.forward_pass
    [read] = encoded.forward_passes
    of_text = by_word.of(read)
    alone, names, directions = _rows(encoded, of_text, prompt)
    of_image = by_region.of(seen, directions.to(seen.embedding.device))
    columns, table = _columns(of_image, seen)
    # The decomposed computations, which the certificate compares with the model's own.
    explained = encoded.targets(of_text.embedding[None].float())
    score = float(explained.score(of_image.embedding[None]))
    named = [name != UNATTRIBUTED for name in names], [name != UNATTRIBUTED for name in columns]
    total = float(table[named[0]][:, named[1]].sum())
    certificate = Certificate(
        score_model=(float(own_targets.score(images.library_pass.public)),),
        scores={"image": (score,)},
        modified_input=(*batch.changes[0], *encoded.changes),
        scope={"image": "score"},
        checked=checked_of(images.library_pass, encoded, [image])[0],
        diagnostics={"completeness error": (score - total,)},
        precision=precision,
        tolerance=tolerance_of(model.towers, precision),
    )
    grid = seen.stream.grid or (1, -1)
    matrix = table[: len(alone), : int(seen.content_mask[0].sum())].float().cpu()
    return Interaction(
        model=model.name,
        prompt=prompt,
        words=tuple(
            replace(w, relevance=float(m.sum())) for w, m in zip(alone, matrix, strict=True)
        ),
        matrix=matrix.unflatten(-1, grid),
        score=score,
        total=total,
        table=table.float().cpu(),
        rows=names,
        columns=columns,
        certificate=certificate,
        geometry=batch.geometries[0],
        image=batch.images[0],
        methods={"words": by_word.spelling, "regions": by_region.spelling},
        against=tuple(str(other.label) for other in encoded.others),
    )


def _chosen(words: str, regions: str, text_layers: int | None) -> tuple[Chosen, Chosen]:
    by_word, by_region = choose("words", words, "text"), choose("regions", regions, "image")
    wanted = checked(INTERACTION, "text_layers", text_layers, int | None)
    if wanted is None:
        return by_word, by_region
    if by_word.provider.name != "first_order":
        raise OptionError(f"text_layers={wanted} belongs to words='first_order', got {words!r}")
    return replace(by_word, options={**by_word.options, "layers": wanted}), by_region


def _rows(
    encoded: EncodedPrompts, vectors: Vectors, prompt: str
) -> tuple[tuple[Word, ...], tuple[str, ...], Tensor]:
    """Return words, row names, and directions ``[rows, e]`` divided by the text's length."""
    assert encoded.tokens is not None
    [read] = encoded.forward_passes
    positions = list(encoded.tokens.positions[0])
    words, share = shares_of(encoded.tokens, prompt)
    share = share.to(vectors.tokens)
    pieces = vectors.tokens[positions]
    rest = text_remainders(read, vectors, positions)
    beside = (1 - share.sum(0)) @ pieces
    if bool((share.sum(0) < 1 - 1e-6).any()):
        rest = {OF_NO_WORD: beside, **rest}
    directions = torch.cat([share @ pieces, torch.stack(list(rest.values()))])
    directions = directions / vectors.embedding.norm()
    names = (*(word.text for word in words), *rest)
    if encoded.against is not None:
        opponents = " or ".join(str(other.label) for other in encoded.others)
        names = (*names, f"rather than {opponents}")
        directions = torch.cat([directions, -encoded.against[None].to(directions)])
    return words, names, directions


def _columns(vectors: Vectors, seen: ForwardPass) -> tuple[tuple[str, ...], Tensor]:
    """Return names of all columns, and the table ``[rows, columns]``."""
    content = seen.content_mask[0]
    rest = image_remainders(seen, vectors)
    table = torch.cat([vectors.tokens[content], torch.stack(list(rest.values()))]).T
    rows, columns = seen.stream.grid or (1, int(content.sum()))
    patches = [f"patch {row},{column}" for row in range(rows) for column in range(columns)]
    return (*patches, *rest), table / vectors.embedding.norm()


def shares_of(tokens: Tokens, prompt: str) -> tuple[tuple[Word, ...], Tensor]:
    """Return words, and their shares of the pieces ``[words, pieces]`` by characters."""
    count = len(tokens.positions[0])
    columns = []
    words: tuple[Word, ...] = ()
    for index in range(count):
        single = [float(index == other) for other in range(count)]
        words = word_relevance(tokens.words[0], tokens.spans[0], single)
        columns.append([word.relevance for word in words])
    if not words:
        raise PromptError(f"prompt {quoted(prompt)} has no words; write some, such as 'a dog'")
    return words, torch.tensor(columns).T
