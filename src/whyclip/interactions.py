"""Which word looked at which region: the score's second order, over pairs of word and patch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from whyclip.ambient import in_plain_state
from whyclip.assemble import checked_of
from whyclip.batches import batches
from whyclip.certificate import Certificate
from whyclip.encoded_prompts import encode_prompts
from whyclip.errors import PromptError, UnsupportedModelError, quoted
from whyclip.explanation import Explanation, same
from whyclip.forward.fidelity import tolerance_of
from whyclip.forward.forward_pass import ForwardPass, depth
from whyclip.forward.run import run_tower
from whyclip.inputs import ImageSource, Tokens, word_relevance
from whyclip.models import ModelView
from whyclip.models.state import check_asked
from whyclip.options import checked
from whyclip.types import INTERACTION, Geometry, GeometryName, Precision, Word

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False, repr=False)
class Interaction:
    """Which word of one prompt looked at which region of one image.

    Attributes:
        model: name of the model.
        prompt: as the user wrote it.
        words: its words in reading order; ``relevance`` is the sum over the word's map.
        matrix: ``[words, gh, gw]`` float32, signed; what each pair of a word and a patch adds to
            the score, in units of the score.
        score: the cosine of image and prompt, −1 to 1.
        total: the sum over all pairs, those with CLS, BOS or EOS included.
        certificate: as for an explanation, with the additivity gap as a check.
        geometry: where the grid lies on the original image.
        image: the original image as RGB, reduced to at most 1400 pixels.
    """

    model: str
    prompt: str
    words: tuple[Word, ...]
    matrix: Tensor
    score: float
    total: float
    certificate: Certificate
    geometry: Geometry
    image: Image | None = field(default=None, compare=False)

    def __eq__(self, other: object) -> bool:
        """Equal in everything but the image, tensors by value."""
        return same(self, other) if isinstance(other, Interaction) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.model, self.prompt, self.geometry))

    def __repr__(self) -> str:
        words, rows, columns = self.matrix.shape
        return (
            f"Interaction({self.model!r:.60}, {self.prompt!r:.60}; "
            f"{words} words × {rows}×{columns} patches, score {self.score:.3f})"
        )

    @property
    def gap(self) -> float:
        """``score − total``: what the two readouts' norms and MLPs keep from adding up."""
        return self.score - self.total

    @property
    def explanation(self) -> Explanation:
        """The same as an explanation with one map for each word, to draw, save and compare.

        Its prompts are the words, its scores all the score of the whole prompt. Figures, pages
        and terminals draw it on one scale for all words, unless ``shared_scale=False``.
        """
        n = len(self.words)
        noted = self.certificate
        alone = [replace(word, start=0, end=len(word.text)) for word in self.words]
        return Explanation(
            model=self.model,
            method=INTERACTION,
            prompts=tuple(word.text for word in self.words),
            scores=torch.full((n,), self.score),
            maps=self.matrix,
            words=tuple((word,) for word in alone),
            certificate=replace(
                noted,
                score_model=noted.score_model * n,
                scores={side: scores * n for side, scores in noted.scores.items()},
                diagnostics={name: values * n for name, values in noted.diagnostics.items()},
            ),
            geometry=self.geometry,
            image=self.image,
            options={"prompt": self.prompt},
        )

    def save(self, path: str | Path) -> Path:
        """Write to a file; its extension decides the format.

        ``.html`` is a page, ``.png``, ``.jpg``, ``.svg`` and ``.pdf`` are figures, ``.json``,
        ``.npz`` and ``.safetensors`` hold numbers.

        Raises:
            OutputError: another ending, or a folder that does not exist.
        """
        return self.explanation.save(path)

    def show(self) -> None:
        """Show one map for each word: in a notebook as a page, elsewhere in a window."""
        self.explanation.show()

    def _repr_html_(self) -> str:
        return self.explanation._repr_html_()


@in_plain_state
def interaction(
    model: ModelView,
    image: ImageSource,
    prompt: str,
    *,
    text_layers: int | None = None,
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
) -> Interaction:
    """Say which word of a prompt looked at which region of an image.

    ``M_ij = s_i · r_j`` with ``r_j = J_I (A_j v_j)/|F_I|`` for patches and
    ``s_i = J_T (A_i v_i)/|F_T|`` for word pieces, where ``J = ∂F/∂o`` at the readout attention,
    A its own weights and v its values. M is the second derivative of the score, with the
    lengths of the embeddings held, by the shares of patch j and piece i in their readouts. Own
    first-order derivation; second-order attributions of dual encoders are due to Möller et al.
    2024 (arXiv 2408.14153). Two forward passes and one Jacobian each.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`.
        image: a path, PIL image, array or tensor.
        prompt: one text.
        text_layers: the pieces' shares are summed over the readouts of so many last text blocks;
            8 by default, as for words elsewhere, for EOS reads most words before the last block.
        geometry: as for :func:`whyclip.explain`.
        precision: likewise.

    Raises:
        InputError: the image, prompt or an option cannot be used.
        UnsupportedModelError: one of the towers has no attention readout.
    """
    check_asked(model, geometry, precision)
    if not isinstance(prompt, str):
        raise PromptError(f"prompt {quoted(prompt)}: an interaction is of one text: 'a dog'")
    for tower in (model.image, model.text):
        if tower.opaque:
            raise UnsupportedModelError(
                f"an interaction reads attention, but of this model's {tower.side} tower there "
                f"is none to read: {tower.opaque}; whyclip.explain with occlusion, rise, "
                "kernel_shap or leave_one_out works"
            )
    wanted = checked(INTERACTION, "text_layers", text_layers, int | None)
    layers = depth(model.text, wanted)
    encoded = encode_prompts(model, prompt, keep=layers, precision=precision)
    [batch] = batches(model, [image], geometry)
    asked, own_asked = encoded.targets(), encoded.own_targets()
    seen = run_tower(model.image, batch.pixels, asked, keep=1, precision=precision)
    own = seen
    if batch.own is not None:
        own = run_tower(model.image, batch.own, asked, keep=0, precision=precision)
    [read] = encoded.forward_passes
    of_regions, of_pieces = _shares(seen, 1), _shares(read, layers)
    total = float(of_pieces.sum(0) @ of_regions.sum(0))
    score = float(encoded.targets(read.readout(layers).embedding).score(seen.readout().embedding))
    words, of_words = _by_word(encoded.tokens, of_pieces, prompt)
    grid = seen.stream.grid or (1, -1)
    matrix = (of_words @ of_regions[seen.content_mask[0]].T).cpu().unflatten(-1, grid)
    certificate = Certificate(
        score_model=(float(own_asked.score(own.public)),),
        scores={"image": (score,)},
        modified_input=batch.changes[0],
        scope={"image": "score"},
        checked=checked_of(own, encoded, [image])[0],
        diagnostics={"additivity gap": (score - total,)},
        precision=precision,
        tolerance=tolerance_of(model.towers, precision),
    )
    sums = matrix.flatten(1).sum(1).tolist()
    return Interaction(
        model=model.name,
        prompt=prompt,
        words=tuple(replace(w, relevance=s) for w, s in zip(words, sums, strict=True)),
        matrix=matrix,
        score=score,
        total=total,
        certificate=certificate,
        geometry=batch.geometries[0],
        image=batch.images[0],
    )


def _shares(forward_pass: ForwardPass, layers: int) -> Tensor:
    """What each token adds to the unit embedding, to first order: ``[t, e]`` of one input."""
    readout = forward_pass.readout(layers)
    total = torch.zeros((), device=forward_pass.content_mask.device)
    for attention, jacobian in zip(readout.layers, readout.jacobian("o"), strict=True):
        parts = (attention.a[..., None].float() * attention.v.float())[0]
        total = total + parts.transpose(0, 1).flatten(1) @ jacobian[0].T
    return total / readout.embedding[0].norm()


def _by_word(
    tokens: Tokens | None, of_pieces: Tensor, prompt: str
) -> tuple[tuple[Word, ...], Tensor]:
    """Sum the pieces' vectors ``[t, e]`` to words; a piece of several words is shared out."""
    assert tokens is not None
    positions = list(tokens.positions[0])
    columns = []
    words: tuple[Word, ...] = ()
    for index in range(len(positions)):
        one = [float(index == other) for other in range(len(positions))]
        words = word_relevance(tokens.words[0], tokens.spans[0], one)
        columns.append([word.relevance for word in words])
    if not words:
        raise PromptError(f"prompt {quoted(prompt)} has no words; write some, such as 'a dog'")
    share = torch.tensor(columns, device=of_pieces.device).T
    return words, share @ of_pieces[positions]
