"""Leave-one-out: score drop when each word is removed."""

from __future__ import annotations

import torch

from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.method import Method, Relevance, input_only
from whyclip.methods.perturb import AT_ONCE, at_least_one, chunks, count_of, without


def leave_one_out(forward_pass: ForwardPass, *, batch_size: int = AT_ONCE) -> Relevance:
    """Measure the score drop when a word is removed from the prompt.

    ``H_w = S(text) − S(text without w)``, divided equally among the pieces of the word. The word's
    pieces are removed, later pieces move up, and the end is padded. Li, Monroe & Jurafsky 2016
    (arXiv 1612.08220), eq. 1, with the score in place of the log-likelihood.

    Args:
        forward_pass: the encoder's forward pass.
        batch_size: number of texts encoded at once.

    Raises:
        OptionError: ``batch_size`` is not a positive integer.
    """
    at_least_one(batch_size=batch_size)
    jobs = [(i, word) for i, words in enumerate(forward_pass.words) for word in words]
    shortened = (
        torch.stack([without(forward_pass.inputs[i], word, forward_pass.pad) for i, word in part])
        for part in chunks(jobs, batch_size)
    )
    score = forward_pass.targets.score(forward_pass.embedding)
    values = score.new_zeros(*score.shape, forward_pass.content_mask.shape[1])
    encoded = forward_pass.encode_batches(shortened, count_of(jobs, batch_size), "leaving out")
    for part, embeddings in zip(chunks(jobs, batch_size), encoded, strict=True):
        for (i, word), left in zip(part, forward_pass.targets.score(embeddings), strict=True):
            values[i, :, list(word)] = ((score[i] - left) / len(word))[:, None]
    return Relevance(values, forward_pass.embedding)


METHOD = Method(
    name="leave_one_out",
    title="Leave one out",
    source="Li et al. 2016, arXiv 1612.08220",
    relevance=leave_one_out,
    text_specific=True,
    signed=True,
    cost="1 + one per word",
    scope="score",
    explains="the model itself, as a black box",
    sides=("text",),
    blocks_needed=input_only,
    all_targets_at_once=True,
)
