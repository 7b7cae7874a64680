"""The rectangle computed from a preprocessing's parts against one measured with ramps here."""

import random

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform, image_transform_v2
from PIL import Image
from torchvision import transforms as T

from whyclip.errors import UnsupportedModelError
from whyclip.inputs import Normalisation, model_geometry, normalisation_of
from whyclip.inputs.geometry import model_canvas
from whyclip.inputs.preprocessing import run_preprocess
from whyclip.inputs.probe import probe_canvas, probe_normalisation

SIDE = 64


def openclip(**options):
    return image_transform_v2(PreprocessCfg(size=SIDE, **options), is_train=False)


def clip_processor(pil=False, **options):
    import transformers

    if transformers.__version__.startswith("4."):
        kind = transformers.CLIPImageProcessor if pil else transformers.CLIPImageProcessorFast
    elif pil:
        kind = transformers.models.clip.image_processing_pil_clip.CLIPImageProcessorPil
    else:
        kind = transformers.CLIPImageProcessor
    return kind(**{"size": {"shortest_edge": SIDE}, "crop_size": SIDE, **options})


def siglip_processor():
    import transformers

    return transformers.SiglipImageProcessor(size={"height": SIDE, "width": SIDE})


PREPROCESSINGS = {
    "openclip shortest": lambda: openclip(resize_mode="shortest"),
    "openclip longest": lambda: openclip(resize_mode="longest"),
    "openclip longest, filled": lambda: openclip(resize_mode="longest", fill_color=90),
    "openclip squash": lambda: openclip(resize_mode="squash"),
    "openclip bilinear": lambda: openclip(interpolation="bilinear"),
    "openclip not square": lambda: image_transform((SIDE, 96), is_train=False),
    "openai": lambda: T.Compose(
        [
            T.Resize(SIDE, interpolation=T.InterpolationMode.BICUBIC),
            T.CenterCrop(SIDE),
            T.ToTensor(),
            T.Normalize([0.5] * 3, [0.25] * 3),
        ]
    ),
    "with a margin": lambda: T.Compose(
        [T.Resize(80), T.CenterCrop((SIDE, 71)), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)]
    ),
    "longest side limited": lambda: T.Compose(
        [T.Resize(SIDE, max_size=90), T.CenterCrop(SIDE), T.ToTensor(), T.Normalize(0.5, 0.5)]
    ),
    "clip": clip_processor,
    "clip by pillow": lambda: clip_processor(pil=True),
    "clip padding": lambda: clip_processor(crop_size=75),
    "clip padding by pillow": lambda: clip_processor(pil=True, crop_size=75),
    "clip without crop": lambda: clip_processor(do_center_crop=False),
    "clip squashed": lambda: clip_processor(size={"height": 70, "width": 80}),
    "siglip": siglip_processor,
}
SIZES = [(64, 64), (63, 65), (9, 9), (12, 7), (640, 480), (333, 500), (101, 300), (97, 64)]


@pytest.fixture(params=PREPROCESSINGS)
def preprocess(request):
    return PREPROCESSINGS[request.param]()


def measured_box(preprocess, width, height, expected):
    """Solve for the box by cutting the picture in two, white before the cut and black after.

    The number of lit columns (or rows) of the input says where the cut lies in it; a line
    through some cuts gives the ends. Resampling blurs a cut evenly, so it keeps the sum.
    """

    def lit(image):
        black = run_preprocess(preprocess, Image.new("RGB", image.size)).double()
        white = run_preprocess(preprocess, Image.new("RGB", image.size, "white")).double()
        gain = (white - black)[0]
        return ((run_preprocess(preprocess, image).double() - black)[0] / gain).nan_to_num(0, 0, 0)

    edges = []
    for axis, side in enumerate((width, height)):
        low, high = (max(0, expected[axis]), min(side, expected[axis + 2]))
        cuts = [round(low + (high - low) * share) for share in np.linspace(0.2, 0.8, 13)]
        edge_places = []
        whole = lit(Image.new("RGB", (width, height), "white"))
        first = int(torch.nonzero(whole.sum(axis) > 0)[0])
        lines = whole.sum(axis).max()
        for cut in cuts:
            pixels = np.zeros((height, width, 3), np.uint8)
            pixels[(slice(None), slice(0, cut)) if axis == 0 else slice(0, cut)] = 255
            edge_places.append(first + float(lit(Image.fromarray(pixels)).sum() / lines))
        slope, start = np.polyfit(edge_places, cuts, 1)
        edges.append((start, start + slope * whole.shape[1 - axis]))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


@pytest.mark.parametrize("size", SIZES)
def test_the_box_is_where_the_pixels_come_from(preprocess, size):
    width, height = size
    geometry = model_geometry(preprocess, width, height)
    box = measured_box(preprocess, width, height, geometry.box)
    assert (geometry.name, geometry.width, geometry.height) == ("model", width, height)
    # Half a pixel of the picture, or of the input where its pixels are the larger ones.
    scale = (geometry.box.right - geometry.box.left) / SIDE
    assert geometry.box == pytest.approx(box, abs=0.5 * max(1.0, scale))


def test_the_probe_agrees_on_random_sizes(preprocess):
    draw = random.Random(0)
    for _ in range(6):
        width, height = draw.randint(20, 500), draw.randint(20, 500)
        traced = model_canvas(preprocess, width, height)
        probed = probe_canvas(preprocess, width, height)
        assert (traced.width, traced.height) == (probed.width, probed.height)
        assert traced.box == pytest.approx(probed.box, abs=0.5)


def test_the_probe_stands_in_for_an_unknown_callable():
    known = openclip(resize_mode="longest")
    probed = model_geometry(lambda image: known(image) * 1.0, 300, 200)
    assert probed.box == pytest.approx(model_geometry(known, 300, 200).box, abs=0.5)


def test_pixels_beyond_the_last_whole_patch_are_outside_the_box():
    geometry = model_geometry(openclip(resize_mode="squash"), 128, 128, patch=14)
    assert geometry.box == (0, 0, 112, 112)  # 64 // 14 * 14 = 56 of 64 pixels


@pytest.mark.parametrize(
    "strange",
    [
        T.Compose([T.RandomResizedCrop(SIDE), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)]),
        T.Compose([T.Resize((SIDE, SIDE)), T.RandomRotation((45, 45)), T.ToTensor()]),
        T.Compose([T.Resize((SIDE, SIDE)), T.RandomHorizontalFlip(p=1.0), T.ToTensor()]),
        lambda image: torch.zeros(3, SIDE, SIDE),
        lambda image: torch.zeros(1, 3, SIDE, SIDE),
        lambda image: "no tensor",
    ],
)
def test_what_cannot_be_followed_is_refused(strange):
    with pytest.raises(UnsupportedModelError):
        model_geometry(strange, 100, 80)


def test_normalisation_is_read_and_measured_alike(preprocess):
    read, measured = normalisation_of(preprocess), probe_normalisation(preprocess)
    assert read.mean == pytest.approx(measured.mean, abs=1e-4)
    assert read.std == pytest.approx(measured.std, abs=1e-4)


def test_the_rescale_factor_counts():
    processor = clip_processor(rescale_factor=1 / 127.5, image_mean=[1.0] * 3, image_std=[1.0] * 3)
    assert normalisation_of(processor) == Normalisation((0.5,) * 3, (0.5,) * 3)


def test_interpolation_is_read():
    assert normalisation_of(openclip(interpolation="bilinear")).interpolation.name == "BILINEAR"
    assert normalisation_of(clip_processor(resample=2)).interpolation.name == "BILINEAR"
    assert normalisation_of(openclip()).interpolation.name == "BICUBIC"


def test_a_preprocessing_that_looks_at_contrast_has_no_normalisation():
    def standardised(image):
        pixels = T.functional.to_tensor(image.resize((SIDE, SIDE)))
        return (pixels - pixels.mean()) / (pixels.std() + 1e-3)

    with pytest.raises(UnsupportedModelError, match="geometry"):
        normalisation_of(standardised)
