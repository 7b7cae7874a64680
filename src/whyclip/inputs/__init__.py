"""Images and prompts as model input, and the mapping back to the user's originals."""

from whyclip.inputs.geometry import model_geometry, normalisation_of
from whyclip.inputs.images import ImageSource, read_image
from whyclip.inputs.prepare import GEOMETRIES, keep_size, keep_tensor, pad_tensor, prepare
from whyclip.inputs.preprocessing import Normalisation, Preprocess
from whyclip.inputs.prompts import (
    DirectionPrompt,
    ImagePrompt,
    Prompt,
    TextPrompt,
    parse_prompts,
)
from whyclip.inputs.tokens import Tokens, content_mask, padding, tokenize, written
from whyclip.inputs.words import piece_spans, word_relevance, words_of

__all__ = [
    "GEOMETRIES",
    "DirectionPrompt",
    "ImagePrompt",
    "ImageSource",
    "Normalisation",
    "Preprocess",
    "Prompt",
    "TextPrompt",
    "Tokens",
    "content_mask",
    "keep_size",
    "keep_tensor",
    "model_geometry",
    "normalisation_of",
    "pad_tensor",
    "padding",
    "parse_prompts",
    "piece_spans",
    "prepare",
    "read_image",
    "tokenize",
    "word_relevance",
    "words_of",
    "written",
]
