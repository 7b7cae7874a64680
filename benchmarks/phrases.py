"""Precision and recall of the phrase extractors on 300 captions with hand-written answers.

    python -m benchmarks.phrases

The captions and answers were written before the rules. The rules were tuned on every other caption;
the others are held out. One author wrote all captions, so real captions can be harder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyclip.errors import InputError
from whyclip.finetuning.phrases import phrase_extractor

ROOT = Path(__file__).parent.parent
ANSWERS = ROOT / "tests" / "finetuning" / "phrases.tsv"
OUT = Path(__file__).with_suffix(".json")
STYLES = ("coco", "cc3m", "scenes", "hard", "all")
HALVES = ("tuned", "held-out", "both")


@dataclass(frozen=True)
class Answer:
    """One caption with its phrases."""

    style: str
    caption: str
    phrases: tuple[str, ...]
    half: str


def read_answers() -> list[Answer]:
    """Read the captions; every other one was used to tune the rules."""
    lines = ANSWERS.read_text(encoding="utf-8").rstrip("\n").split("\n")[1:]
    answers = []
    for number, line in enumerate(lines):
        style, caption, phrases = line.split("\t")
        given = tuple(phrase for phrase in phrases.split("|") if phrase)
        answers.append(Answer(style, caption, given, HALVES[number % 2]))
    return answers


def scores(
    answers: Sequence[Answer], extract: Callable[[str], Sequence[str]], style: str, half: str
) -> dict[str, float]:
    """Count exact matches of whole phrases, over all captions of a style and half."""
    right = given = wanted = captions = 0
    for answer in answers:
        if style in (answer.style, "all") and half in (answer.half, "both"):
            phrases = set(extract(answer.caption))
            right += len(phrases & set(answer.phrases))
            given += len(phrases)
            wanted += len(answer.phrases)
            captions += 1
    precision, recall = right / max(given, 1), right / max(wanted, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return {
        "captions": captions,
        "phrases": wanted,
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(f1, 4),
    }


def main() -> None:
    answers = read_answers()
    result: dict[str, Any] = {"command": "python -m benchmarks.phrases"}
    for name in ("rules", "spacy"):
        try:
            extract = phrase_extractor(name)
        except InputError as error:
            result[name] = f"model not installed: {error}"
            print(f"{name}: {error}")
            continue
        result[name] = {
            half: {style: scores(answers, extract, style, half) for style in STYLES}
            for half in HALVES
        }
        for half in HALVES:
            print(name, half, result[name][half]["all"])
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
