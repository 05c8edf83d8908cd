"""What was read when a dataset was opened: said in one line, and kept in the result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ganzoo.files.text import clean

CLASSES_KEPT = 50  # classes that `Facts.to_dict` names
CLASSES_SAID = 6  # classes that `Facts.line` names
BROKEN_KEPT = 20  # broken images that are named
_KINDS_KEPT = 20  # kinds of files passed over that are told apart
_DONE = {"crop": "cropped to squares", "pad": "padded to squares", "stretch": "stretched to squares"}

Size = tuple[int, int]  # width and height in pixels


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What became of a dataset's source. Torch-free; all text is fit for a terminal. None: not known.

    Sizes are (width, height) in pixels, those of the originals upright. A target that knows nothing of an item leaves
    it out, and `load_dataset` fills in what the images themselves tell.
    """

    images: int
    size: Size | None = None  # as given to the networks
    color: str | None = None  # as given to the networks: "gray" or "rgb"
    smallest: Size | None = None  # of the originals, by area
    largest: Size | None = None
    original_color: str | None = None  # "gray", "rgb" or "gray and rgb"
    fit: str = "crop"  # how originals became squares: "crop", "pad" or "stretch"
    fitted: int = 0  # images that were no squares, so that `fit` took or added something
    enlarged: int = 0
    shrunk: int = 0
    transparent: int = 0  # images with transparent pixels, which were laid over the background
    sixteen_bit: int = 0  # 16-bit gray images
    descended: str | None = None  # lone folders that were entered on the way, such as "archive/dataset/"
    splits: tuple[str, ...] | None = None  # folders of training and test images, such as ("train/", "val/"); (): none
    test_split: bool | None = None
    classes: tuple[tuple[str, int], ...] | None = None  # names and numbers of images, in order; None: unlabelled
    labels_from: str | None = None  # what gave the labels, where it is worth saying: "dataset.json"
    passed_over: tuple[tuple[str, int], ...] = ()  # what and how many: (".heic", 12)
    folders_passed_over: tuple[str, ...] = ()  # beside the splits, or beside the folder that was entered: "extra/"
    broken_count: int = 0
    broken: tuple[str, ...] = ()  # names with reasons, the first ones
    levels: tuple[int, int] | None = None  # lowest and highest of 0..255
    warnings: tuple[str, ...] = ()  # what is probably not meant, each with the setting that mends it where one does

    def to_dict(self) -> dict[str, object]:
        """JSON-ready and short: at most 50 classes and 20 broken images are named, with a count of the others."""
        classes = None
        if self.classes is not None:
            classes = [[name, count] for name, count in self.classes[:CLASSES_KEPT]]
        return {
            "images": self.images,
            "size": _listed(self.size),
            "color": self.color,
            "smallest": _listed(self.smallest),
            "largest": _listed(self.largest),
            "original_color": self.original_color,
            "fit": self.fit,
            "fitted": self.fitted,
            "enlarged": self.enlarged,
            "shrunk": self.shrunk,
            "transparent": self.transparent,
            "sixteen_bit": self.sixteen_bit,
            "descended": self.descended,
            "splits": None if self.splits is None else list(self.splits),
            "test_split": self.test_split,
            "classes": classes,
            "more_classes": max(0, len(self.classes or ()) - CLASSES_KEPT),
            "labels_from": self.labels_from,
            "passed_over": dict(_merged(self.passed_over)),
            "folders_passed_over": list(self.folders_passed_over[:CLASSES_KEPT]),
            "more_folders": max(0, len(self.folders_passed_over) - CLASSES_KEPT),
            "broken_count": self.broken_count,
            "broken": list(self.broken[:BROKEN_KEPT]),
            "levels": _listed(self.levels),
            "warnings": list(self.warnings),
        }

    def line(self, label: str) -> str:
        """One line for people: "folder:faces: 10,000 images, 178x218 rgb, cropped to squares, shrunk to 64; ..."."""
        return f"{clean(label)}: " + "; ".join(
            part
            for part in (self._pixels(), self._classes(), self._splits(), self._passed_over(), self._broken())
            if part
        )

    def _pixels(self) -> str:
        words = [f"{self.images:,} image{'' if self.images == 1 else 's'}"]
        sizes = " to ".join(dict.fromkeys(_times(size) for size in (self.smallest, self.largest) if size is not None))
        words.append(f"{sizes} {self.original_color or self.color or ''}".strip())
        words.append(self._some(self.fitted, _DONE.get(self.fit, self.fit)))
        side = "" if self.size is None else f" to {self.size[0]}"
        words.append(self._some(self.shrunk, f"shrunk{side}"))
        words.append(self._some(self.enlarged, f"enlarged{side}"))
        if self.color is not None and self.original_color not in (None, self.color):
            words.append(f"turned {self.color}")
        return ", ".join(word for word in words if word)

    def _some(self, count: int, done: str) -> str:
        """ "12 cropped to squares", without the number where it was all of them."""
        return "" if count == 0 else done if count == self.images else f"{count:,} {done}"

    def _classes(self) -> str:
        if self.classes is None:
            return "unlabelled"
        named = ", ".join(f"{name} ({count:,})" for name, count in self.classes[:CLASSES_SAID])
        more = len(self.classes) - CLASSES_SAID
        by = f" by {self.labels_from}" if self.labels_from else ""
        return f"{len(self.classes):,} classes{by}: {named}" + (f" and {more:,} more" if more > 0 else "")

    def _splits(self) -> str:
        where = f"found in {self.descended}" if self.descended else ""
        if self.splits:
            named = f"{'splits' if len(self.splits) > 1 else 'split'} {' and '.join(self.splits)}"
            where = ", ".join(part for part in (where, named) if part)
        if self.test_split is False:
            where = "; ".join(part for part in (where, "no test split") if part)
        return where

    def _passed_over(self) -> str:
        parts = [f"{count:,} {what}" for what, count in _merged(self.passed_over)]
        parts += self.folders_passed_over[:CLASSES_SAID]
        more = len(self.folders_passed_over) - CLASSES_SAID
        parts += [f"{more:,} more folders"] if more > 0 else []
        return f"passed over: {', '.join(parts)}" if parts else ""

    def _broken(self) -> str:
        return f"{self.broken_count:,} broken left out" if self.broken_count else ""


def resized(size: Size, fit: str, side: int) -> tuple[bool, bool, bool]:
    """Whether an original of `size` was (made a square, enlarged, shrunk) when it became `side` pixels by `fit`."""
    low, high = min(size), max(size)
    # a crop keeps the short side, padding the long one; a stretch changes both
    now = {"crop": float(low), "pad": float(high)}.get(fit, math.sqrt(low * high))
    return low != high, now < side, now > side


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """`names` fit for a terminal; those that become equal are numbered."""
    cleaned = [clean(name, 200) for name in names]
    taken = {shown for shown, name in zip(cleaned, names, strict=True) if shown == name}
    out = []
    for shown, name in zip(cleaned, names, strict=True):
        number, unique = 1, shown
        while shown != name and unique in taken:
            number += 1
            unique = f"{shown} ({number})"
        taken.add(unique)
        out.append(unique)
    return tuple(out)


def _times(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _listed(pair: tuple[int, int] | None) -> list[int] | None:
    return None if pair is None else list(pair)


def _merged(counts: tuple[tuple[str, int], ...]) -> list[tuple[str, int]]:
    """Each kind once, most frequent first, the rest beyond twenty as one."""
    total: dict[str, int] = {}
    for what, count in counts:
        total[what] = total.get(what, 0) + count
    ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[_KINDS_KEPT:])
    return ranked[:_KINDS_KEPT] + ([("other", rest)] if rest else [])
