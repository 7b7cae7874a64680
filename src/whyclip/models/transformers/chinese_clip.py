"""Chinese-CLIP and AltCLIP of transformers: CLIP's vision encoder, a BERT-like text encoder."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from whyclip.models.transformers.bert import BertTextTower, FirstTokenBert
from whyclip.models.transformers.clip import HFImageTower, pooled
from whyclip.models.view import ModelView


class ChineseCLIPTextTower(FirstTokenBert):
    """``ChineseCLIPTextModel`` with its projection.

    It follows the model's forward, because ``get_text_features`` of transformers 4 needs a pooler
    that this class lacks.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(model, model.text_model, tokenizer)

    def head(self, x: Tensor) -> Tensor:
        return self.model.text_projection(x)


class AltCLIPTextTower(BertTextTower):
    """``AltCLIPTextModel``: XLM-RoBERTa with a further norm and two projections."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        config, encoder = model.config.text_config, model.text_model.roberta.encoder
        # transformers 5 renamed it.
        layers = encoder.layers if hasattr(encoder, "layers") else encoder.layer
        pad = int(config.pad_token_id)
        # RoBERTa counts positions from the padding id.
        positions = int(config.max_position_embeddings) - pad - 1
        super().__init__(model, model.text_model.roberta, layers, tokenizer, pad, positions)

    @property
    def norm(self) -> nn.Module:
        return self.model.text_model.pre_LN

    def head(self, x: Tensor) -> Tensor:
        return self.model.text_projection(self.model.text_model.transformation(x))

    def encode_masked(self, ids: Tensor, mask: Tensor) -> Tensor:
        return pooled(self.model.get_text_features(input_ids=ids, attention_mask=mask))


def chinese_clip_view(model: Any, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    """Wrap a transformers ``ChineseCLIPModel``."""
    return _view(model, ChineseCLIPTextTower(model, tokenizer), preprocess, tokenizer, name)


def altclip_view(model: Any, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    """Wrap a transformers ``AltCLIPModel``."""
    return _view(model, AltCLIPTextTower(model, tokenizer), preprocess, tokenizer, name)


def _view(model: Any, text: BertTextTower, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    width = int(model.projection_dim)
    return ModelView(name, HFImageTower(model), text, preprocess, tokenizer, width, module=model)
