"""Split the scores of one image by layer and head."""

from __future__ import annotations

from typing import Any

from whyclip.ambient import in_plain_state
from whyclip.assemble import checked_of
from whyclip.attention_heads.result import Heads
from whyclip.batches import batches
from whyclip.certificate import Certificate
from whyclip.encoded_prompts import encode_prompts
from whyclip.errors import UnsupportedModelError, check_choice
from whyclip.forward.fidelity import tolerance_of
from whyclip.image_pass import run_images
from whyclip.inputs import ImageSource
from whyclip.methods.head_paths import head_contributions
from whyclip.methods.paths import PathsName
from whyclip.models import ModelView
from whyclip.models.state import check_asked, check_state
from whyclip.types import GeometryName, Precision


@in_plain_state
def heads(
    model: ModelView,
    image: ImageSource,
    prompts: Any,
    *,
    paths: PathsName = "direct",
    against: Any = None,
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
) -> Heads:
    """Compute the contribution of each head of the image encoder to each score.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`.
        image: a path, PIL image, array or tensor.
        prompts: as for :func:`whyclip.explain`.
        paths: ``"direct"`` counts a head's direct contribution to the embedding, as in Gandelsman
            et al. 2024 (arXiv 2310.05916); the sum over layers and heads is the method
            ``decomposition``. ``"readout"`` also counts its contribution through later layers.
        against: as for :func:`whyclip.explain`.
        geometry: as for :func:`whyclip.explain`.
        precision: as for :func:`whyclip.explain`.

    Returns:
        A table of layer × head for each prompt, with a map for each cell.

    Raises:
        InputError: the image, a prompt or an option cannot be used; direct paths need an image
            encoder that is a sum of its layers.
        UnsupportedModelError: the image encoder exposes no attention, or the model is in training
            mode.
        ScoreMismatchError: the sum of the parts differs from the model's score.
    """
    check_asked(model, geometry, precision)
    check_state(model)
    check_choice("paths", paths, ("direct", "readout"))
    tower = model.image
    if tower.opaque:
        raise UnsupportedModelError(f"the image encoder exposes no heads: {tower.opaque}")
    encoded = encode_prompts(model, prompts, against, precision=precision)
    [batch] = batches(model, [image], geometry)
    targets, own_targets = encoded.targets(), encoded.own_targets()
    images = run_images(model, batch, targets, len(tower.blocks), precision, "all")
    seen = images.forward_pass
    contributions, embedding = head_contributions(seen, paths)
    values = contributions[0].cpu()
    scores = targets.score(embedding)[0].cpu()
    certificate = Certificate(
        score_model=tuple(own_targets.score(images.library_pass.public)[0].tolist()),
        scores={"image": tuple(scores.tolist())},
        modified_input=(*batch.changes[0], *encoded.changes),
        scope={"image": "score"},
        checked=checked_of(images.library_pass, encoded, [image])[0],
        precision=precision,
        tolerance=tolerance_of(model.towers, precision),
    )
    return Heads(
        model=model.name,
        prompts=tuple(prompt.label for prompt in encoded.prompts),
        scores=scores,
        table=values.sum(-1),
        maps=values[..., seen.content_mask[0].cpu()].unflatten(-1, seen.stream.grid or (1, -1)),
        first_layer=len(tower.blocks) - values.shape[1],
        paths=paths,
        certificate=certificate,
        geometry=batch.geometries[0],
        image=batch.images[0],
        against=tuple(prompt.label for prompt in encoded.others),
    )
