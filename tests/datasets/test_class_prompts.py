"""The texts that stand for a class, dataset by dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from whyclip.datasets import Dataset, open_dataset
from whyclip.datasets.folder import Folder
from whyclip.datasets.imagenet import ImageNet, imagenet_prompts
from whyclip.errors import InputError


def one_by_one(dataset: Dataset) -> None:
    """Each class has its own texts, and its prompt is one that the dataset's samples could have."""
    assert len(dataset.class_prompts) == len(dataset.classes)
    for label, texts in zip(dataset.classes, dataset.class_prompts, strict=True):
        name = dataset.names[dataset.number_of(label)]
        assert texts
        assert all(name in text for text in (*texts, dataset.prompt_of(label)))


def test_imagenet_has_the_eighty_templates(tmp_path: Path) -> None:
    (tmp_path / "n01440764").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "n01440764" / "a.JPEG")
    dataset = ImageNet(tmp_path, template="{} in a bowl")
    texts = dataset.class_prompts[0]
    # Of the published list: the first, one that many use alone, and the last.
    assert len(texts) == len(set(texts)) == 80
    assert texts[0] == "a bad photo of a tench."
    assert "a photo of a tench." in texts
    assert texts[-1] == "a tattoo of the tench."
    assert dataset.prompt_of("n01440764") == "tench in a bowl" == dataset[0].prompts[0]
    assert imagenet_prompts(["goldfish"])[0][0] == "a bad photo of a goldfish."
    one_by_one(dataset)


def test_scenes_have_their_articles_and_drawing_changes_nothing() -> None:
    whole, few = open_dataset("scenes:9"), open_dataset("scenes:9", limit=2)
    assert whole.prompt_of("apple") == "an apple"
    assert whole.prompt_of("car") == "a car"
    assert few.class_prompts == whole.class_prompts
    assert few.prompt_of("car") == "a car"
    one_by_one(few)
    with pytest.raises(InputError, match="'unicorns' is not one of"):
        few.prompt_of("unicorns")


def test_a_folder_puts_labels_into_its_template_and_leaves_prompts(tmp_path: Path) -> None:
    file = tmp_path / "index.csv"
    file.write_text("image,label,prompt\na.png,dog,\nb.png,,two cats asleep\nc.png,dog,my dog\n")
    dataset = Folder(file, template="a sketch of a {}")
    assert dataset.class_prompts == (("a sketch of a dog",), ("two cats asleep",))
    assert dataset[2].prompts == ("my dog",)
    one_by_one(dataset)
