"""Images with captions for training: one global order per epoch, shared among processes."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from whyclip.errors import InputError, OptionError, quoted
from whyclip.finetuning.batch import Example

UNREADABLE = "image cannot be read"
NO_IMAGE = "no image"
EMPTY_CAPTION = "empty caption"
NO_CAPTION = "no caption"
BAD_MASK = "mask cannot be used"
CUT_TAR = "tar is damaged or cut short"


@dataclass(frozen=True)
class Skipped:
    """One example that cannot be used.

    Attributes:
        id: of the example, or of the tar it would have been in.
        reason: one of a few kinds, used for counts.
        detail: one line that describes the fault.
    """

    id: str
    reason: str
    detail: str = ""


class UnusableError(InputError):
    """One example cannot be used; training skips it."""

    def __init__(self, skipped: Skipped) -> None:
        super().__init__(f"{skipped.id}: {skipped.reason}. {skipped.detail}")
        self.skipped = skipped


class CaptionData(ABC):
    """Images with captions, in a new random order for each epoch.

    The order is the same in every process. Process ``rank`` of ``world`` uses the positions
    ``rank``, ``rank + world``, and so on. Their batches together equal the batch of one process.
    An unusable example is replaced at its own position by another one, chosen by the position
    alone. All other examples therefore stay in their batches, for any number of processes.

    Attributes:
        name: kind and place, for messages.
        length: number of examples; None if it is known only after an epoch.
        exhaustive: whether `spares` lists all other examples.
        selection: the part of the data that is used and its columns, if not the usual ones.
        may_be_marked: False if no example has a mask of pixels that must not be used.
    """

    name: str
    length: int | None
    exhaustive = False
    selection = ""
    may_be_marked = True

    @abstractmethod
    def order(self, number: int, seed: int) -> Iterator[Any]:
        """Draw the order of an epoch: items for `read`, without decoding any image."""

    @abstractmethod
    def read(self, item: Any) -> Example:
        """Decode one item.

        Raises:
            UnusableError: its image, caption or mask cannot be used.
        """

    @abstractmethod
    def spares(self, position: int, number: int, seed: int) -> Iterator[Any]:
        """List replacements for an unusable item, chosen by its position in the order alone."""

    def __len__(self) -> int:
        """Return the number of examples.

        Raises:
            TypeError: it is known only after an epoch.
        """
        if self.length is None:
            raise TypeError(f"{self.name} has no known length")
        return self.length

    def faults(self) -> list[Skipped]:
        """Return and forget faults of the source itself, such as a damaged tar."""
        return []

    def usable(
        self, item: Any, position: int, number: int, seed: int
    ) -> Iterator[Example | Skipped]:
        """Read an item, or its first usable replacement.

        Yields:
            `Skipped` for each unusable item, then at most one `Example`.

        Raises:
            InputError: no example can be used, and the data lists all of them as spares.
        """
        got = self._read_or_skip(item)
        yield got
        if isinstance(got, Example):
            return
        for spare in self.spares(position, number, seed):
            got = self._read_or_skip(spare)
            yield got
            if isinstance(got, Example):
                return
        if self.exhaustive:
            raise nothing_usable(self.name, got)

    def _read_or_skip(self, item: Any) -> Example | Skipped:
        try:
            return self.read(item)
        except UnusableError as error:
            return error.skipped

    def epoch(
        self, number: int, *, seed: int, rank: int = 0, world: int = 1
    ) -> Iterator[Example | Skipped]:
        """Read the share of an epoch that belongs to one process.

        Args:
            number: of the epoch, from 0.
            seed: of the order.
            rank: of the process, 0 to ``world - 1``.
            world: number of processes.

        Raises:
            InputError: no example can be used.
        """
        count, last, position = 0, None, -1
        for position, item in enumerate(self.order(number, seed)):
            if position % world == rank:
                for got in self.usable(item, position, number, seed):
                    yield got
                    if isinstance(got, Skipped):
                        last = got
                    else:
                        count += 1
            yield from self.faults()
        for fault in self.faults():
            yield fault
            last = fault
        # With fewer examples than processes, some processes get no share; this is not an error.
        if not count and (position >= rank or position < 0):
            raise nothing_usable(self.name, last)


class Indexed(CaptionData):
    """Data whose examples can be read by number.

    Args:
        name: kind and place, for messages.
        keys: key of each example, for the choice of a fraction; None uses its number.
        count: number of examples.
        fraction: share of the examples to use, above 0 to 1.
        seed: of that choice.
    """

    exhaustive = True

    def __init__(
        self,
        name: str,
        count: int,
        *,
        keys: Callable[[int], str] = str,
        fraction: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.name = name
        chosen = Chooser(fraction, seed)
        self.numbers = np.fromiter((i for i in range(count) if chosen(keys(i))), dtype=np.int64)
        self.length: int = len(self.numbers)
        if not count:
            raise InputError(f"{name} has no examples")
        if not self.length:
            raise InputError(
                f"fraction={fraction} selects none of the {count} examples of {name}; "
                "give a larger fraction"
            )

    def order(self, number: int, seed: int) -> Iterator[int]:
        """Draw a permutation of the chosen numbers."""
        yield from self._permuted(number, seed).tolist()

    def spares(self, position: int, number: int, seed: int) -> Iterator[int]:
        """List all other numbers, starting half an epoch away."""
        order = self._permuted(number, seed)
        for step in range(len(order)):
            place = (position + len(order) // 2 + step) % len(order)
            if place != position:
                yield int(order[place])

    def _permuted(self, number: int, seed: int) -> np.ndarray:
        return self.numbers[np.random.default_rng((seed, number, 17)).permutation(self.length)]


class Chooser:
    """Rule that chooses a share of examples by a hash of their keys.

    The choice depends on key and seed alone, not on the order, the other examples or the number
    of processes. A larger fraction contains a smaller one.

    Raises:
        OptionError: the fraction is not above 0 and at most 1.
    """

    def __init__(self, fraction: float, seed: int) -> None:
        if not 0 < fraction <= 1:
            raise OptionError(f"fraction={fraction}; give a number above 0 and at most 1")
        self.fraction, self.seed = fraction, seed

    def __call__(self, key: str) -> bool:
        """Whether the example with this key is chosen."""
        if self.fraction == 1:
            return True
        text = f"{self.seed}\0{key}".encode("utf-8", "surrogatepass")
        number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
        return number < self.fraction * 2**64


def caption_of(cell: object, id: str) -> str:
    """Check a caption; of a list, return the first one that is not empty.

    Raises:
        UnusableError: it is empty or not a string.
    """
    for text in cell if isinstance(cell, (list, tuple)) else [cell]:
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")  # noqa: PLW2901
        if isinstance(text, str) and text.strip():
            # JSON can contain unpaired surrogates, which tokenizers reject.
            return text.strip().encode("utf-8", "replace").decode()
    known = cell is None or isinstance(cell, (str, bytes, list, tuple))
    missing = isinstance(cell, float) and math.isnan(cell)
    detail = "" if known or missing else f"{quoted(cell)} is not text"
    raise UnusableError(Skipped(id, EMPTY_CAPTION, detail))


def nothing_usable(name: str, last: Skipped | None) -> InputError:
    """Build the error for data of which no example can be used."""
    why = f"; the last one ({last.id:.80}): {last.reason}: {last.detail:.200}" if last else ""
    return InputError(f"{name} has no usable example{why}".rstrip(": "))


def open_captions(
    spec: str,
    *,
    fraction: float = 1.0,
    seed: int = 0,
    true_masks: bool = False,
    outside: bool = False,
    split: str = "train",
    image: str = "image",
    caption: str = "caption",
    mask: str = "mask",
) -> CaptionData:
    """Open images with captions.

    Args:
        spec: ``scenes:N[:SEED]``, ``csv:FILE``, ``parquet:FILE``, ``hf:FOLDER[#SPLIT]`` or
            ``wds:FILES`` (tars as files or addresses, such as ``wds:cc3m-{00000..00331}.tar``).
            A name that ends in ``.csv``, ``.parquet`` or ``.tar`` needs no prefix.
        fraction: share of the examples, chosen by a hash of each one's key.
        seed: of that choice.
        true_masks: whether scenes provide the phrases of their captions with the true masks.
        outside: whether a table may name files outside its folder.
        split: of scenes: ``"train"``, ``"val"`` or ``"test"``.
        image: column of the images, of paths or encoded images.
        caption: column of the captions.
        mask: column of masks of pixels that the model must not use; it may be missing.

    Raises:
        InputError: there is no usable data.
        OptionError: the kind or an option is not known.
    """
    from whyclip.finetuning.caption_kinds import open_kind

    columns = {"image": image, "caption": caption, "mask": mask}
    data = open_kind(spec, fraction, seed, true_masks, outside, split, columns)
    changed = [f"{kind} from {name!r}" for kind, name in columns.items() if name != kind]
    if fraction != 1:
        changed.insert(0, f"fraction {fraction:g} of seed {seed}")
    if split != "train":
        changed.append(f"split {split}")
    data.selection = ", ".join(changed)
    return data
