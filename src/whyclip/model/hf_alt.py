"""Chinese-CLIP and AltCLIP of transformers: CLIP's vision tower beside a BERT-like text tower."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from whyclip.model.hf_bert import BertParts, BertTextTower
from whyclip.model.hf_clip import HFImageTower, pooled
from whyclip.model.view import ModelView


def chinese_clip_view(model: Any, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    """Describe a transformers ``ChineseCLIPModel`` in memory."""
    text = model.text_model
    config = model.config.text_config

    def encode(ids: Tensor, mask: Tensor) -> Tensor:
        # As the model's forward does it; get_text_features of transformers 4 looks for a pooler
        # that this class does not have, and fails.
        states = text(input_ids=ids, attention_mask=mask).last_hidden_state
        return model.text_projection(states[:, 0])

    parts = BertParts(
        embeddings=text.embeddings,
        layers=text.encoder.layer,
        norm=nn.Identity(),
        head=model.text_projection,
        encode=encode,
        pad=int(config.pad_token_id),
        positions=int(config.max_position_embeddings),
    )
    return _view(model, parts, preprocess, tokenizer, name)


def altclip_view(model: Any, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    """Describe a transformers ``AltCLIPModel`` in memory."""
    text = model.text_model
    config = model.config.text_config
    pad = int(config.pad_token_id)
    encoder = text.roberta.encoder

    def head(x: Tensor) -> Tensor:
        return model.text_projection(text.transformation(x))

    def encode(ids: Tensor, mask: Tensor) -> Tensor:
        return pooled(model.get_text_features(input_ids=ids, attention_mask=mask))

    parts = BertParts(
        embeddings=text.roberta.embeddings,
        # transformers 5 renamed it.
        layers=encoder.layers if hasattr(encoder, "layers") else encoder.layer,
        norm=text.pre_LN,
        head=head,
        encode=encode,
        pad=pad,
        # RoBERTa counts its places from behind the padding's id.
        positions=int(config.max_position_embeddings) - pad - 1,
    )
    return _view(model, parts, preprocess, tokenizer, name)


def _view(model: Any, parts: BertParts, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    text = BertTextTower(parts, tokenizer)
    scale = float(model.logit_scale.detach().exp())
    width = int(model.projection_dim)
    return ModelView(
        name, HFImageTower(model), text, preprocess, tokenizer, width, logit_scale=scale
    )
