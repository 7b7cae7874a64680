"""A preprocessing may mix the channels, and one that gives no pixels is named in one line."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as T

from whyclip.errors import UnsupportedModelError
from whyclip.inputs import keep_tensor, model_geometry, normalisation_of
from whyclip.inputs.preprocessing import run_preprocess
from whyclip.inputs.probe import probe_normalisation

MIXES = {
    "grey": [[0.299, 0.587, 0.114]] * 3,
    "swapped": [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
    "one channel": [[0, 1, 0]] * 3,
    "sepia": [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]],
    "opponent": [[1, -1, 0], [0.5, 0.5, -1], [0, 1, -1]],
    "none": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
}


def mixing(name, known):
    """A fixed linear mix of the channels behind a preprocessing that is followed by its parts."""
    mix = torch.tensor(MIXES[name], dtype=torch.float32)
    mean, std = torch.tensor([0.4, 0.5, 0.3]), torch.tensor([0.2, 0.3, 0.25])

    def preprocess(image):
        rgb = known(image)
        mixed = torch.einsum("cd,dhw->chw", mix, rgb)
        return (mixed - mean[:, None, None]) / std[:, None, None]

    return preprocess


def squash(size):
    return T.Compose([T.Resize((size, size)), T.ToTensor()])


@pytest.mark.parametrize("name", MIXES)
@pytest.mark.parametrize("size", [(48, 40), (300, 200), (40, 90)])
def test_a_mix_of_channels_does_not_hide_the_rectangle(name, size):
    known = T.Compose([T.Resize(64), T.CenterCrop(64), T.ToTensor()])
    expected = model_geometry(known, *size)
    assert model_geometry(mixing(name, known), *size).box == pytest.approx(expected.box, abs=0.6)


@pytest.mark.parametrize("name", ["Grayscale", "swap by index", "RandomGrayscale"])
def test_torchvision_steps_that_mix_channels_are_followed(name):
    steps = {
        "Grayscale": T.Grayscale(3),
        "swap by index": T.Lambda(lambda image: image[[2, 1, 0]]),
        "RandomGrayscale": T.RandomGrayscale(1.0),
    }
    first = [] if name == "swap by index" else [steps[name]]
    last = [steps[name]] if name == "swap by index" else []
    norm = T.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    whole = T.Compose([*first, T.Resize(32), T.CenterCrop(32), T.ToTensor(), *last, norm])
    plain = T.Compose([T.Resize(32), T.CenterCrop(32), T.ToTensor(), norm])
    expected = model_geometry(plain, 60, 40)
    assert model_geometry(whole, 60, 40).box == pytest.approx(expected.box, abs=0.6)
    # What "keep" and "pad" make of an image of the model's own size is what the model gets.
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    pixels = keep_tensor(image, (32, 32), normalisation_of(whole))
    torch.testing.assert_close(pixels, whole(image), atol=0.02, rtol=0)


@pytest.mark.parametrize("name", [n for n in MIXES if n != "opponent"])
def test_the_mix_of_channels_is_measured(name):
    """An opponent channel has no grey response, so its mean and deviation are not defined."""
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    preprocess = mixing(name, squash(64))
    pixels = keep_tensor(image, (64, 64), probe_normalisation(preprocess))
    torch.testing.assert_close(pixels, preprocess(image), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "step",
    [
        T.ColorJitter(hue=0.5),
        T.RandomCrop(24),
        T.RandomHorizontalFlip(1.0),
        T.RandomRotation((30, 30)),
    ],
    ids=lambda step: type(step).__name__,
)
def test_what_is_random_or_no_rectangle_is_still_refused(step):
    whole = T.Compose([step, T.Resize((32, 32)), T.ToTensor()])
    with pytest.raises(UnsupportedModelError, match="is random|upright rectangle"):
        model_geometry(whole, 60, 60)


def test_curves_are_no_mix_of_channels():
    with pytest.raises(UnsupportedModelError, match="does not normalise pixels"):
        probe_normalisation(lambda image: squash(64)(image) ** 2)
    product = lambda image: (x := squash(64)(image)) * x.flip(0)  # noqa: E731
    with pytest.raises(UnsupportedModelError, match="does not normalise pixels"):
        probe_normalisation(product)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda image: {"pixel_values": torch.zeros(1, 3, 8, 8)}, "returned dict"),
        (lambda image: [torch.zeros(3, 8, 8)], "returned list"),
        (lambda image: np.zeros((3, 8, 8)), "returned ndarray"),
        (lambda image: None, "returned NoneType"),
        (lambda image: torch.zeros(1, 3, 8, 8), r"returned \(1, 3, 8, 8\)"),
        (lambda image: torch.zeros(3, 8, 8).to_sparse(), "sparse"),
        (lambda image: torch.zeros(3, 8, 8, dtype=torch.complex64), "complex"),
        (lambda image: torch.zeros(3, 8, 8, device="meta"), "meta"),
        (lambda image: 1 / 0, "fails on an image of 9x8 pixels: division by zero"),
        (lambda image: {}["a\nb"], "fails on an image"),
    ],
)
def test_a_preprocessing_that_gives_no_pixels_is_one_line(made, said):
    with pytest.raises(UnsupportedModelError, match=said) as caught:
        run_preprocess(made, Image.new("RGB", (9, 8)))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 320
