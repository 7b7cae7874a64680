from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import tiny
import whyclip
from whyclip.errors import WhyclipWarning
from whyclip.models.domain import Domain, patch_statistics


def picture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def plain_statistics(pixels: np.ndarray) -> np.ndarray:
    """The statistics of one picture `[3, H, W]`, patch by patch."""
    rows = []
    for top in range(0, pixels.shape[1] - 15, 16):
        for left in range(0, pixels.shape[2] - 15, 16):
            cell = pixels[:, top : top + 16, left : left + 16].astype(np.float64)
            light = 0.30 * cell[0] + 0.59 * cell[1] + 0.11 * cell[2]
            edges = [
                4 * light[y, x]
                - light[y - 1, x] - light[y + 1, x] - light[y, x - 1] - light[y, x + 1]
                for y in range(1, 15)
                for x in range(1, 15)
            ]  # fmt: skip
            rows.append(
                (
                    np.log(np.mean(np.square(edges)) + 4e-4),
                    np.log(light.var(ddof=1) + 4e-4),
                    np.log(np.abs(np.diff(light, axis=1)).max() + 0.02),
                    np.mean(cell.max(0) - cell.min(0)),
                    np.log(np.mean([(c - cell.mean(0)).var(ddof=1) for c in cell]) + 4e-4),
                )
            )
    levels = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
    return np.quantile(np.array(rows), levels, axis=0).T.ravel()


def test_the_statistics_are_those_of_a_loop_over_patches() -> None:
    pixels = torch.randn(2, 3, 50, 83, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    expected = [plain_statistics(p) for p in pixels.numpy()]
    assert np.allclose(patch_statistics(pixels), expected, atol=1e-4)


def test_strangeness_is_the_mahalanobis_distance_over_the_border(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    known = patch_statistics(torch.rand(90, 3, 32, 48, generator=generator) ** 3).numpy()
    covariance = np.cov(known.T) + 0.01 * np.eye(known.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    whiten = torch.from_numpy(vectors / np.sqrt(values)).float()
    fitted = {"mean": torch.from_numpy(known.mean(0)), "whiten": whiten}
    save_file(fitted | {"border": torch.tensor([2.5])}, tmp_path / "domain.safetensors")
    domain = Domain.read(tmp_path / "domain.safetensors", "unlike")
    image = torch.rand(1, 3, 64, 64, generator=generator)
    off = plain_statistics(image[0].numpy()) - known.mean(0)
    expected = np.sqrt(off @ np.linalg.inv(covariance) @ off) / 2.5
    assert float(domain.strangeness(image)) == pytest.approx(expected, rel=1e-3)


def test_a_strange_picture_is_noted_once_and_a_known_one_not(tmp_path: Path) -> None:
    view = whyclip.wrap(*tiny.openclip_parts())
    known = patch_statistics(view.preprocess(picture(0))[None])[0]
    eye = torch.eye(len(known))
    aware = replace(view, domain=Domain(known, eye, 1e-3, "unlike what this model knows"))
    with pytest.warns(WhyclipWarning, match=r"unlike .* \(and 1 more image\)") as caught:
        explanations = whyclip.explain(aware, [picture(0), picture(1), picture(2)], ["a dog"])
    assert len(caught) == 1
    assert explanations[0].notes == ()
    assert "unlike what this model knows (distance" in explanations[1].notes[0]
    again = whyclip.load_explanation(explanations[1].save(tmp_path / "why.json"))
    assert again.notes == explanations[1].notes
