"""Architecture of the embedded model, and its forward passes for training."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import open_clip
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from torch import nn

CONTEXT = 32
PATCH = 16
GRID = 14
CONFIG: dict[str, Any] = {
    "embed_dim": 256,
    "vision_cfg": {
        "image_size": 224,
        "layers": 6,
        "width": 192,
        "head_width": 64,
        "patch_size": PATCH,
    },
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": 49408,
        "width": 128,
        "heads": 4,
        "layers": 4,
    },
}
PREPROCESS: dict[str, Any] = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


class Vocabulary:
    """The few hundred tokens of the captions, numbered from 0 in the tokenizer's order.

    Training only these rows saves nine tenths of the optimiser's work. The order is kept, so the
    end token has the highest id.
    """

    def __init__(self, words: set[str]) -> None:
        """Collect the tokens of all given words."""
        self.tokenizer = SimpleTokenizer(context_length=CONTEXT)
        used = {self.tokenizer.sot_token_id, self.tokenizer.eot_token_id, 0}
        for word in words:
            used.update(self.pieces(word))
        self.ids = sorted(used)
        self.index = {token: row for row, token in enumerate(self.ids)}

    @lru_cache(maxsize=8192)  # noqa: B019 - there is one vocabulary per process
    def pieces(self, word: str) -> tuple[int, ...]:
        """Return the tokens of one word; words do not share tokens."""
        return tuple(self.tokenizer.encode(word))

    def encode(self, texts: list[str]) -> torch.Tensor:
        """Return compact ids `[n, t]`, padded to the longest text."""
        rows = []
        for text in texts:
            pieces = [p for word in text.split() for p in self.pieces(word)][: CONTEXT - 2]
            start, end = self.tokenizer.sot_token_id, self.tokenizer.eot_token_id
            rows.append([self.index[p] for p in (start, *pieces, end)])
        out = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for i, row in enumerate(rows):
            out[i, : len(row)] = torch.tensor(row)
        return out


def positions(width: int, grid: int = GRID) -> torch.Tensor:
    """Return initial 2-D sine-cosine positions `[1 + grid*grid, width]`."""
    rate = 1.0 / (30.0 ** (torch.arange(width // 4) / (width // 4)))
    ys, xs = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    parts = [f(v.flatten()[:, None] * rate) for v in (ys, xs) for f in (torch.sin, torch.cos)]
    return torch.cat([torch.zeros(1, width), torch.cat(parts, 1)]) * 0.2


def build(vocabulary: int) -> open_clip.CLIP:
    """Return an untrained OpenCLIP model with `vocabulary` rows in its token table."""
    text = CONFIG["text_cfg"] | {"vocab_size": vocabulary}
    model = open_clip.CLIP(CONFIG["embed_dim"], CONFIG["vision_cfg"], text)
    with torch.no_grad():
        model.visual.positional_embedding.copy_(positions(CONFIG["vision_cfg"]["width"]))
        model.logit_scale.fill_(math.log(1 / 0.07))
    return model


class Group(NamedTuple):
    """A batch of images with the same number of visible patches.

    Attributes:
        patches: `[b, t, 768]`.
        places: int `[b, t]`, their positions in the grid.
        members: bool `[b, k, t]`, the patches of each object; None if unused.
        whose: int `[b]`, ascending from 0, the image of each single object; an image's embedding
            is the sum over its objects. None for whole images.
    """

    patches: torch.Tensor
    places: torch.Tensor
    members: torch.Tensor | None = None
    whose: torch.Tensor | None = None


class Towers(nn.Module):
    """The model's two encoders, for selected patches and truncated texts."""

    def __init__(self, model: open_clip.CLIP) -> None:
        """Wrap a model; its parameters are shared, not copied."""
        super().__init__()
        self.model = model

    def image(self, group: Group) -> torch.Tensor:
        """Encode images and their objects to `[b, 1 + k, e]`, images first.

        Dropping background patches makes a step two to four times cheaper (FLIP, Li et al. 2023,
        drops random patches). With all patches, an image's embedding equals that of `encode_image`.
        For an object's embedding, the last attention of the class token is restricted to the
        object's patches; without patches it is meaningless.
        """
        v = self.model.visual
        x = F.linear(group.patches, v.conv1.weight.flatten(1))
        x = x + v.positional_embedding[1:][group.places]
        cls = v.class_embedding + v.positional_embedding[0]
        x = v.ln_pre(torch.cat([cls.expand(len(x), 1, -1), x], 1))
        *blocks, last = v.transformer.resblocks
        for block in blocks:
            x = block(x)
        # Only the class token of the last block is used.
        x = x[:, :1] + self._look(last, last.ln_1(x), group.members)
        x = x + last.mlp(last.ln_2(x))
        return v.ln_post(x) @ v.proj

    @staticmethod
    def _look(block: Any, x: torch.Tensor, members: torch.Tensor | None) -> torch.Tensor:
        """Attend from the class token to all tokens and to each object's: `[b, 1 + k, w]`."""
        attention = block.attn
        b, _, width = x.shape
        heads = attention.num_heads
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        query = F.linear(x[:, :1], weight[:width], bias[:width])
        keys, values = F.linear(x, weight[width:], bias[width:]).chunk(2, -1)
        q, k, v = (
            a.view(b, -1, heads, width // heads).transpose(1, 2) for a in (query, keys, values)
        )
        logits = q @ k.transpose(-1, -2) * (width // heads) ** -0.5
        if members is not None:
            hidden = F.pad(~members, (1, 0, 1, 0), value=False)
            hidden[:, 1:, 0] = True
            logits = logits.masked_fill(hidden[:, None], -1e4)
        got = (logits.softmax(-1) @ v).transpose(1, 2)
        return attention.out_proj(got.reshape(b, -1, width))

    def text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Encode ids `[n, t]` to `[n, e]`; tokens after the end are masked (causal mask)."""
        m = self.model
        length = tokens.shape[1]
        x = m.token_embedding(tokens) + m.positional_embedding[:length]
        x = m.transformer(x, attn_mask=m.attn_mask[:length, :length].to(x.dtype))
        x = m.ln_final(x)[torch.arange(len(x)), tokens.argmax(1)]
        return x @ m.text_projection

    def forward(
        self, groups: list[Group], tokens: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return embeddings of images `[b, e]`, objects `[o, e]`, texts `[n, e]`, and the scale.

        All embeddings are unit vectors. Objects without patches are excluded; the others are
        ordered by image.
        """
        images, objects = [], []
        for group in groups:
            read = F.normalize(self.image(group).float(), dim=-1)
            if group.whose is not None:
                sums = read.new_zeros(int(group.whose[-1]) + 1, read.shape[-1])
                images.append(F.normalize(sums.index_add(0, group.whose, read[:, 0]), dim=-1))
                objects.append(read[:, 0])
            else:
                images.append(read[:, 0])
            if group.members is not None:
                objects.append(read[:, 1:][group.members.any(-1)])
        # Short and long texts are encoded separately, to avoid padding short ones.
        parts = tokens.argmax(1).argsort().chunk(4)
        coded = [self.text(tokens[p, : int(tokens[p].argmax(1).max()) + 1]) for p in parts]
        texts = F.normalize(torch.cat(coded)[torch.cat(parts).argsort()].float(), dim=-1)
        scale = self.model.logit_scale.float().exp().clamp(max=100)
        alone = torch.cat(objects) if objects else texts[:0]
        return torch.cat(images), alone, texts, scale


def patchify(images: torch.Tensor, places: torch.Tensor | None = None) -> torch.Tensor:
    """Split images `[b, 3, h, w]` in 0..1 into normalised patches `[b, (h/16)(w/16), 768]`.

    If `places` `[b, t]` is given, only those patches are returned.
    """
    b, c, h, w = images.shape
    cut = images.reshape(b, c, h // PATCH, PATCH, w // PATCH, PATCH).permute(0, 2, 4, 1, 3, 5)
    if places is not None:
        columns = w // PATCH
        cut = cut[torch.arange(b)[:, None], places // columns, places % columns]
    return cut.reshape(b, -1, c * PATCH * PATCH) * 2 - 1
