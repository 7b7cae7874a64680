"""A small stand-in for the model of OpenAI's package: its names of parts, our own code.

Tokens come first, each block holds its mask, texts fill the whole context, and norms of half
precision are computed in float32.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

import tiny

CONTEXT = 77


class LayerNorm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)


class QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * (1.702 * x).sigmoid()


class ResidualAttentionBlock(nn.Module):
    def __init__(self, width: int, heads: int, attn_mask: Tensor | None) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1, self.ln_2 = LayerNorm(width), LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", QuickGELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))
        self.attn_mask = attn_mask

    def forward(self, x: Tensor) -> Tensor:
        normed = self.ln_1(x)
        mask = None if self.attn_mask is None else self.attn_mask.to(x)
        x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, width: int, layers: int, heads: int, mask: Tensor | None = None) -> None:
        super().__init__()
        blocks = [ResidualAttentionBlock(width, heads, mask) for _ in range(layers)]
        self.resblocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.resblocks(x)


class VisionTransformer(nn.Module):
    def __init__(
        self, size: int, patch: int, width: int, layers: int, heads: int, out: int
    ) -> None:
        super().__init__()
        self.input_resolution, self.output_dim = size, out
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.positional_embedding = nn.Parameter(torch.randn((size // patch) ** 2 + 1, width))
        self.ln_pre, self.ln_post = LayerNorm(width), LayerNorm(width)
        self.transformer = Transformer(width, layers, heads)
        self.proj = nn.Parameter(torch.randn(width, out))

    def forward(self, x: Tensor) -> Tensor:
        cells = self.conv1(x).flatten(2).transpose(1, 2)
        first = self.class_embedding.to(cells.dtype).expand(len(cells), 1, -1)
        x = torch.cat([first, cells], dim=1) + self.positional_embedding.to(cells.dtype)
        x = self.transformer(self.ln_pre(x).transpose(0, 1)).transpose(0, 1)
        return self.ln_post(x[:, 0]) @ self.proj


class Bottleneck(nn.Module):
    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, out, 3, stride=stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).relu()


class AttentionPool2d(nn.Module):
    def __init__(self, cells: int, width: int, heads: int, out: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(cells + 1, width))
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj, self.num_heads = nn.Linear(width, out), heads

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).permute(0, 2, 1)
        x = torch.cat([x.mean(1, keepdim=True), x], dim=1) + self.positional_embedding
        b, w = len(x), x.shape[-1]
        heads = (b, -1, self.num_heads, w // self.num_heads)
        q, k, v = (
            part.view(heads).transpose(1, 2)
            for part in (self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x))
        )
        out = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.c_proj(out.transpose(1, 2).flatten(2)[:, 0])


class ModifiedResNet(nn.Module):
    def __init__(self, size: int, width: int, heads: int, out: int) -> None:
        super().__init__()
        self.input_resolution, self.output_dim = size, out
        half = width // 2
        for number, (a, b, stride) in enumerate([(3, half, 2), (half, half, 1), (half, width, 1)]):
            conv = nn.Conv2d(a, b, 3, stride=stride, padding=1, bias=False)
            self.add_module(f"conv{number + 1}", conv)
            self.add_module(f"bn{number + 1}", nn.BatchNorm2d(b))
            self.add_module(f"relu{number + 1}", nn.ReLU(inplace=True))
        self.avgpool = nn.AvgPool2d(2)
        self.layer1 = Bottleneck(width, width, 1)
        self.layer2, self.layer3, self.layer4 = (Bottleneck(width, width, 2) for _ in range(3))
        self.attnpool = AttentionPool2d((size // 32) ** 2, width, heads, out)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.conv1.weight.dtype)
        for n in (1, 2, 3):
            conv, norm, relu = (getattr(self, f"{part}{n}") for part in ("conv", "bn", "relu"))
            x = relu(norm(conv(x)))
        x = self.avgpool(x)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.attnpool(x)


class CLIP(nn.Module):
    def __init__(self, visual: nn.Module, out: int = tiny.EMBED, width: int = tiny.WIDTH) -> None:
        super().__init__()
        self.context_length, self.vocab_size = CONTEXT, tiny.VOCABULARY
        self.visual = visual
        mask = self.build_attention_mask()
        self.transformer = Transformer(width, tiny.LAYERS, tiny.HEADS, mask)
        self.token_embedding = nn.Embedding(self.vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.randn(CONTEXT, width))
        self.ln_final = LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, out))
        self.logit_scale = nn.Parameter(torch.ones([]) * math.log(1 / 0.07))

    def build_attention_mask(self) -> Tensor:
        return torch.full((CONTEXT, CONTEXT), float("-inf")).triu_(1)

    @property
    def dtype(self) -> torch.dtype:
        return self.visual.conv1.weight.dtype

    def encode_image(self, image: Tensor) -> Tensor:
        return self.visual(image.to(self.dtype))

    def encode_text(self, text: Tensor) -> Tensor:
        x = self.token_embedding(text).to(self.dtype) + self.positional_embedding.to(self.dtype)
        x = self.transformer(x.transpose(0, 1)).transpose(0, 1)
        x = self.ln_final(x)
        return x[torch.arange(len(x)), text.argmax(-1)] @ self.text_projection

    def forward(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        ours, theirs = (
            nn.functional.normalize(f, dim=-1)
            for f in (self.encode_image(image), self.encode_text(text))
        )
        logits = self.logit_scale.exp() * ours @ theirs.T
        return logits, logits.T


def tokenize(texts: Any, context_length: int = CONTEXT, truncate: bool = False) -> Tensor:
    """Texts to ids by a plain function; one that is longer is an error unless truncated."""
    tokenizer = tiny.tokenizer(context_length)
    rows = torch.zeros(len(texts), context_length, dtype=torch.int)
    for row, text in zip(rows, texts, strict=True):
        ids = [tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id]
        if len(ids) > context_length:
            if not truncate:
                raise RuntimeError(f"Input {text} is too long for context length {context_length}")
            ids = [*ids[: context_length - 1], tokenizer.eot_token_id]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def halve(model: nn.Module) -> nn.Module:
    """Half precision as the package has it on a GPU: all but norms and embeddings."""
    for part in model.modules():
        if isinstance(part, nn.Conv2d | nn.Linear | nn.MultiheadAttention):
            for name, parameter in part.named_parameters(recurse=False):
                setattr(part, name, nn.Parameter(parameter.detach().to(torch.bfloat16)))
    for holder, name in ((model.visual, "proj"), (model, "text_projection")):
        setattr(holder, name, nn.Parameter(getattr(holder, name).detach().to(torch.bfloat16)))
    return model


@tiny.seeded
def vit() -> tuple[nn.Module, Any, Any]:
    visual = VisionTransformer(
        tiny.IMAGE_SIZE, tiny.PATCH, tiny.WIDTH, tiny.LAYERS, tiny.HEADS, tiny.EMBED
    )
    return tiny.randomise(CLIP(visual)), tiny.openclip_parts()[1], tokenize


@tiny.seeded
def resnet() -> tuple[nn.Module, Any, Any]:
    from open_clip.transform import image_transform

    model = tiny.randomise(CLIP(ModifiedResNet(64, 16, 2, tiny.EMBED)))
    return model, image_transform(64, is_train=False), tokenize
