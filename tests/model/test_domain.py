from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

import tiny
import whyclip
from whyclip.errors import WhyclipWarning
from whyclip.model.domain import Domain


def picture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def test_strangeness_is_the_mahalanobis_distance_over_the_border(tmp_path: Path) -> None:
    known = F.normalize(torch.randn(500, 6) * torch.tensor([1.0, 2, 0.5, 1, 1, 3]) + 1, dim=-1)
    covariance = np.cov(known.numpy().T)
    values, vectors = np.linalg.eigh(covariance)
    whiten = torch.from_numpy(vectors / np.sqrt(values)).float()
    fitted = {"mean": known.mean(0), "whiten": whiten, "border": torch.tensor([2.5])}
    save_file(fitted, tmp_path / "domain.safetensors")
    domain = Domain.read(tmp_path / "domain.safetensors", "unlike")
    asked = torch.randn(6)
    off = F.normalize(asked, dim=-1).double().numpy() - known.mean(0).double().numpy()
    expected = np.sqrt(off @ np.linalg.inv(covariance) @ off) / 2.5
    assert float(domain.strangeness(asked)) == pytest.approx(expected, rel=1e-3)
    assert float(domain.strangeness(5 * asked)) == pytest.approx(expected, rel=1e-3)


def test_a_strange_picture_is_noted_once_and_a_known_one_not(tmp_path: Path) -> None:
    view = whyclip.wrap(*tiny.openclip_parts())
    pixels = view.preprocess(picture(0))[None]
    with torch.no_grad():
        known = F.normalize(view.image.encode(pixels), dim=-1)[0]
    eye = torch.eye(view.width)
    aware = replace(view, domain=Domain(known, eye, 1e-3, "unlike what this model knows"))
    with pytest.warns(WhyclipWarning, match=r"unlike .*; so are 1 more") as caught:
        found = whyclip.explain(aware, [picture(0), picture(1), picture(2)], ["a dog"])
    assert len(caught) == 1
    assert found[0].notes == ()
    assert "unlike what this model knows (distance" in found[1].notes[0]
    again = whyclip.load_explanation(found[1].save(tmp_path / "why.json"))
    assert again.notes == found[1].notes
