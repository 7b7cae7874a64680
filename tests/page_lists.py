"""What of the documentation's code runs later, what nowhere, and why.

An entry is the beginning of a command, or a part of one block of Python. `tests/test_pages.py`
fails if no page has it any more.
"""

from __future__ import annotations

# Models that the reader has or downloads; `mini` answers in their place.
MODELS = {
    "openclip:ViT-B-16/openai": "downloaded from a hub",
    "hf:openai/clip-vit-base-patch16": "downloaded from a hub",
    "openclip:ViT-B-32/epoch_3.pt": "a checkpoint of the reader, of full size",
    "openclip:ViT-B-16/weights.safetensors": "a file of the reader, of full size",
}

# No test runs these as written.
NOT_HERE = {
    "pip install": "installs packages; CI installs into a fresh environment",
    "uv pip install": "installs packages by another program",
    "jupyter lab": "another program; test_example_notebooks.py executes the notebooks",
    "duckdb": "another program; the block of Python after it reads the same files",
    "torchrun": "another program, with four processes; bulk/test_launch.py starts two",
    "accelerate launch": "another program, and MODEL and DATA stand for names",
    "python -m spacy": "downloads a model",
    "python -m training": "trains for hours",
    "python -m benchmarks": "measures for minutes to hours, and writes into the documentation",
    "whyclip bulk photos --prompts prompts.txt --out run --engine ray": (
        "needs a running cluster; bulk/test_ray.py starts one"
    ),
    "whyclip benchmark": "trains 30 models; cli/test_benchmark.py has a small family",
    "whyclip reproduce shortcut": "trains models; studies/experiments trains small ones",
    "whyclip regions coco-panoptic:COCO": "needs COCO; datasets/test_coco.py writes its format",
    "whyclip evaluate --data imagenet:val": "needs ImageNet, and encodes 80,000 prompts",
    "whyclip reproduce table1 --data imagenet:val": "needs ImageNet, and encodes 80,000 prompts",
    "whyclip finetune openclip:ViT-B-16/openai": "trains for hours; cli/test_finetune.py is small",
}
NOT_HERE_PYTHON = {
    'pretrained="openai"': "downloads a model",
    "= clip.load(": "needs OpenAI's package, and downloads a model",
    "path/to/vit-classifier": "needs a classifier of the reader",
    "def measure(evidence": "studies/audit/test_recipe.py runs this recipe",
    "whyclip.benchmark(": "needs the family's 30 models",
}

# Only `make test-slow` runs these, on the first samples of each dataset.
LATER = {
    "whyclip audit": "all checks of all methods",
    "whyclip evaluate": "hundreds of forward passes per sample",
    "whyclip regions scenes": "80 templates of 256 classes",
    "whyclip finetune": "trains 100 steps and more",
    'whyclip compare examples/dog_and_red_car.png "a dog" --methods all': "has slow methods",
    'whyclip compare examples/dog_and_red_car.png "a dog" --methods rise': "a slow method",
    "whyclip reproduce": "an experiment on many samples",
    "whyclip bulk": "starts processes, and draws a page of all images",
}
LATER_PYTHON = {
    "import pandas, polars": "reads what whyclip bulk wrote",
    "whyclip.audit(": "all checks of two methods",
    "whyclip.evaluate(": "two methods on twenty scenes",
    "whyclip.reproduce(": "an experiment",
    "done = finetune(": "trains ten steps",
    "result = classify_regions(": "256 classes on twenty scenes",
    "old = region_accuracy(": "256 classes on twenty scenes, twice",
    "whyclip.heads(": "every head of every layer, and their maps",
    "describe_heads(": "every head of four layers",
    "import GradCAM": "imports OpenCV and scikit-learn",
    "import quantus": "an extra, which only make test-slow needs",
}

# What a page takes as given, because another page shows how to get it.
GIVEN: dict[str, tuple[str, ...]] = {
    "certificate": ("ex",),
    "heads": ("whyclip", "model", "image", "texts"),
    "interaction": ("whyclip", "model", "image"),
    "metrics": ("heatmap", "mask"),
    "python": ("Path", "image", "directions"),
}
