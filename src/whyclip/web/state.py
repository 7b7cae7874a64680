"""Cache between requests: images, their forward passes, and encoded prompts.

A forward pass of an image serves every prompt and method, because targets are only directions. The
image encoder runs again only for another image or input mode.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from whyclip.assemble import checked_of
from whyclip.audit_index import Audits
from whyclip.batches import batches
from whyclip.encoded_prompts import EncodedPrompts
from whyclip.errors import ImageError, WhyclipWarning
from whyclip.explanation import Explanation
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import pass_check
from whyclip.image_pass import ImagePass, run_images
from whyclip.matching import Reference
from whyclip.matching.evidence import ReferenceScores
from whyclip.models import ModelView
from whyclip.models.entry import answers_as_a_whole
from whyclip.models.state import check_state, naming_suspects
from whyclip.models.tower import Tower
from whyclip.pipeline import check_whole, explain_images, notes_on
from whyclip.types import GeometryName
from whyclip.variant import Variant, encode_for
from whyclip.web.limits import Limits
from whyclip.web.shelf import Shelf
from whyclip.web.uploads import Upload, read_upload

GONE = "the server no longer has the image; upload it again"


class KeptPass(NamedTuple):
    """An image's forward passes, and warnings if it is unlike the training images."""

    images: ImagePass
    notes: Sequence[tuple[str, ...]]


class Kept:
    """Cache of images and forward passes of one model.

    Images may be looked up from any thread; all computation belongs to one thread.

    Args:
        view: the model.
        limits: sizes of the cache.
        reference: other prompts and images that scores are compared with, or None.

    Attributes:
        examples: images that are never dropped, by id.

    Raises:
        OptionError: the reference was built with another model.
    """

    def __init__(self, view: ModelView, limits: Limits, reference: Reference | None = None) -> None:
        if reference is not None:
            reference.check(view)
        self.view, self.limits, self.reference = view, limits, reference
        self.examples: dict[str, Upload] = {}
        self.images: Shelf[Upload] = Shelf(limits.kept_images)
        self.passes: Shelf[KeptPass] = Shelf(limits.kept_passes)
        self.prompts: Shelf[tuple[EncodedPrompts, tuple[str, ...]]] = Shelf(limits.kept_passes // 4)
        self.runs = {"image": 0, "text": 0}

    def add(self, content: bytes) -> Upload:
        """Read an image file and keep it.

        Raises:
            ImageError: the image cannot be used.
        """
        upload = read_upload(content, self.limits)
        return self.images.put(upload.id, upload, upload.weight)

    def image(self, name: str) -> Upload | None:
        """Find an image by its id; None if it was dropped."""
        return self.examples.get(name) or self.images.get(name)

    def require(self, name: str) -> Upload:
        """Find an image by its id.

        Raises:
            ImageError: the image was dropped.
        """
        upload = self.image(name)
        if upload is None:
            raise ImageError(GONE)
        return upload

    def explain(
        self,
        upload: Upload,
        prompts: tuple[str, ...],
        against: tuple[str, ...],
        geometry: GeometryName,
        variants: Sequence[Variant],
    ) -> list[Explanation]:
        """Explain an image with several variants, one explanation each, from cached passes.

        Raises:
            WhyclipError: as :func:`whyclip.explain`.
        """
        view = self.view
        check_state(view)
        with naming_suspects(view):
            encoded, notes = self._encoded(prompts, against, variants)
            images, seen_notes = self._images(upload, geometry, encoded)
            aimed = images.with_targets(encoded.targets())
            try:
                checked = checked_of(aimed.library_pass, encoded, [upload])
                results = explain_images(
                    view,
                    aimed,
                    encoded,
                    variants,
                    checked,
                    Audits(view),
                    self._reference_scores(encoded, geometry),
                    seen_notes,
                )
            finally:
                # The graphs of recomputed layers are large and fast to recompute.
                for kept in (aimed.forward_pass, aimed.library_pass, *encoded.forward_passes):
                    kept.forget()
        explanations = [result for [result] in results.values()]
        return [replace(one, notes=(*one.notes, *notes)) for one in explanations]

    def _reference_scores(
        self, encoded: EncodedPrompts, geometry: GeometryName
    ) -> ReferenceScores | None:
        """Compare prompts with the reference; None if its images were prepared differently."""
        if self.reference is None or self.reference.geometry != geometry:
            return None
        return ReferenceScores.of(self.view, self.reference, encoded)

    def _encoded(
        self, prompts: tuple[str, ...], against: tuple[str, ...], variants: Sequence[Variant]
    ) -> tuple[EncodedPrompts, tuple[str, ...]]:
        """Encode prompts once, and return whyclip's warnings, for example of truncated words."""
        text = self.view.text
        whole = any(v.settings.get("norm_over") == "context" for v in variants)
        empty = any(v.method.needs_empty_prompt and "image" in v.sides for v in variants)
        key: Hashable = (prompts, against, whole, empty)
        kept = self.prompts.get(key)
        if kept is not None:
            return kept
        self.runs["text"] += 1
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            encoded = encode_for(
                self.view,
                list(prompts),
                variants,
                against=list(against) or None,
                keep=_all_blocks(text) if self.view.classes is None else 0,
            )
        notes = [str(one.message) for one in warned if issubclass(one.category, WhyclipWarning)]
        kept = encoded, tuple(dict.fromkeys(notes))
        return self.prompts.put(key, kept, _weight(encoded.forward_passes))

    def _images(self, upload: Upload, geometry: GeometryName, encoded: EncodedPrompts) -> KeptPass:
        key = (upload.id, geometry)
        kept = self.passes.get(key)
        if kept is not None:
            return kept
        self.runs["image"] += 1
        [batch] = batches(self.view, [upload.open()], geometry)
        how = pass_check("auto", altered=encoded.altered)
        images = run_images(
            self.view, batch, encoded.targets(), _all_blocks(self.view.image), "fp32", how
        )
        if answers_as_a_whole(self.view):
            check_whole(self.view, encoded, images.library_pixels, images.library_pass)
        weight = _weight([images.forward_pass, images.library_pass])
        return self.passes.put(key, KeptPass(images, notes_on(self.view, images)), weight)


def named_safely(view: ModelView) -> ModelView:
    """Return the model with a name without folders, so that visitors do not see local paths."""
    return replace(view, name=view.name.replace("\\", "/").rsplit("/", 1)[-1] or view.name)


def _all_blocks(tower: Tower) -> int:
    return 0 if tower.opaque else len(tower.blocks)


def _weight(passes: Iterable[ForwardPass]) -> int:
    tensors = [
        tensor
        for kept in passes
        for tensor in (*kept.states.values(), kept.inputs, kept.embedding, kept.stream.content_mask)
    ]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
