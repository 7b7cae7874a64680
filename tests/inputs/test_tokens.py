import warnings

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

import tiny
from whyclip.errors import UnsupportedModelError, WhyclipWarning
from whyclip.inputs import content_mask, tokenize

PROMPTS = [
    "a dog",
    "A dog's T-Shirt, très chic!",
    "Supercalifragilistic 12.5 kg",
    "一只狗 🐕🐈",
    "a  red\n car",
]


@pytest.fixture(scope="module", params=["simple", "hf", "openclip-hf", "openclip-canonical"])
def tokenizer(request, tmp_path_factory):
    if request.param == "simple":
        return SimpleTokenizer()
    if request.param == "hf":
        return tiny.hf_tokenizer()
    if open_clip.__version__.startswith("2.") and not hasattr(
        tiny.hf_tokenizer(), "batch_encode_plus"
    ):
        pytest.skip("this OpenCLIP's own HFTokenizer does not run with this transformers")
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny.hf_tokenizer().save_pretrained(folder)
    clean = "canonicalize" if request.param == "openclip-canonical" else "whitespace"
    return HFTokenizer(str(folder), clean=clean)


def decoded(tokenizer, i):
    """What the tokenizer's own decoder makes of one id."""
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    return inner.decode([i]).strip()


def test_ids_are_the_librarys_own(tokenizer):
    tokens = tokenize(tokenizer, PROMPTS, 77)
    if hasattr(tokenizer, "clean_fn"):
        expected = tokenizer(PROMPTS, context_length=77)
    else:
        expected = tokenizer(
            PROMPTS, padding="max_length", max_length=77, return_tensors="pt"
        ).input_ids
    assert tokens.ids.dtype == torch.int64
    assert torch.equal(tokens.ids, expected)


def test_every_piece_stands_where_its_decoded_text_stands(tokenizer):
    tokens = tokenize(tokenizer, PROMPTS, 77)
    for row, text in enumerate(PROMPTS):
        pieces = zip(tokens.positions[row], tokens.spans[row], strict=True)
        for position, (start, end) in pieces:
            whole = decoded(tokenizer, int(tokens.ids[row, position]))
            if "\ufffd" not in whole:
                there = text[start:end].lower()
                if whole != there:  # canonicalising drops punctuation inside of a word
                    assert "".join(c for c in there if c.isalnum()) == whole
                    assert getattr(tokenizer, "clean_fn", None) is not None


def test_every_word_has_a_piece_and_no_special_token_has_one(tokenizer):
    tokens = tokenize(tokenizer, PROMPTS, 77)
    specials = {49406, 49407}
    mask = content_mask(tokens)
    for row, text in enumerate(PROMPTS):
        ids = tokens.ids[row][mask[row]].tolist()
        assert ids == tokens.ids[row][list(tokens.positions[row])].tolist()
        assert not specials & set(ids)
        assert tokens.ids[row, 0] == 49406
        assert tokens.ids[row, tokens.positions[row][-1] + 1] == 49407
        for word, start, end in tokens.words[row]:
            touched = any(s and s[0] < end and start < s[1] for s in tokens.spans[row])
            dropped = getattr(tokenizer, "clean_fn", None) is not None and not word.isalnum()
            assert touched or dropped, (text, word)


def test_bytes_of_one_character_share_its_place():
    tokens = tokenize(SimpleTokenizer(), ["x狗y"], 77)
    dog = [s for s in tokens.spans[0] if s == (1, 2)]
    assert len(dog) >= 2, "the character is split into byte pieces"


@pytest.mark.parametrize("count", [5, 6, 7, 20])
def test_words_beyond_the_context_are_named(tokenizer, count):
    """Eight positions hold six pieces; each of these words is one piece."""
    words = ["red", "dog", "cat", "car", "sun", "hat"] * 4
    text = " ".join(words[:count])
    if count <= 6:
        with warnings.catch_warnings():
            warnings.simplefilter("error", WhyclipWarning)
            tokens = tokenize(tokenizer, [text], 8)
        assert tokens.cut == ((),)
    else:
        with pytest.warns(WhyclipWarning, match="8 tokens; ignored: 'red"):
            tokens = tokenize(tokenizer, [text], 8)
        assert tokens.cut == (tuple(words[6:count]),)
    assert tokens.ids.shape == (1, 8)
    assert len(tokens.positions[0]) == len(tokens.spans[0]) == min(count, 6)


def test_a_word_cut_in_half_is_named_too(tokenizer):
    with pytest.warns(WhyclipWarning, match="'supercalifragilistic'"):
        tokens = tokenize(tokenizer, ["a dog supercalifragilistic"], 6)
    assert tokens.cut == (("supercalifragilistic",),)
    assert len(tokens.spans[0]) == 4


def test_a_processor_stands_for_its_tokenizer():
    import transformers

    processor = transformers.CLIPProcessor(tiny.hf_processor(), tiny.hf_tokenizer())
    plain = tokenize(tiny.hf_tokenizer(), PROMPTS, 77)
    wrapped = tokenize(processor, PROMPTS, 77)
    assert torch.equal(plain.ids, wrapped.ids)
    assert plain.spans == wrapped.spans


def test_an_unknown_tokenizer_is_refused():
    with pytest.raises(UnsupportedModelError, match="type function"):
        tokenize(lambda texts: torch.zeros(1, 77), ["a dog"], 77)


@settings(deadline=None, max_examples=60)
@given(st.text(min_size=1, max_size=30).filter(str.strip))
def test_any_text_is_laid_out_without_loss(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WhyclipWarning)
        tokens = tokenize(tiny.tokenizer(), [text], 77)
    assert len(tokens.positions[0]) == len(tokens.spans[0])
    for span in tokens.spans[0]:
        assert span is None or 0 <= span[0] < span[1] <= len(text)
