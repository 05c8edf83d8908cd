"""`folder:PATH`, any folder of images, and CelebA, which torchvision leaves as one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ganzoo.data.cache import MODES, cached_images
from ganzoo.data.contents import ABSENT, numbers
from ganzoo.data.decode import Decoding
from ganzoo.data.facts import Facts
from ganzoo.data.fetch import load_or_fetch
from ganzoo.data.images import Images
from ganzoo.data.paths import absolute
from ganzoo.data.pixels import check_size_and_color
from ganzoo.data.scan import Listing, scan_split
from ganzoo.errors import DataError, SettingError
from ganzoo.files.progress import OnProgress


def load_folder(
    root: Path,
    split: str,
    download: bool,
    *,
    path: Path | str,
    size: int | None = None,
    color: str | None = "rgb",
    fit: str = "crop",
    background: str = "black",
    white: int | None = None,
    labels: bool = True,
    on_progress: OnProgress | None = None,
) -> Images:
    """Images of a folder, with class folders or flat, decoded once into a memory-mapped cache under `root`.

    `size`: pixels of the square, resized with antialiasing; None: all images must have one size. `color`: "rgb" (also
    None) or "gray". `fit`: how images become squares: "crop" to the central one, "pad" with `background`, or "stretch".
    `background`: "black" or "white", also what transparent images are laid over. `white`: level of 16-bit gray files
    that becomes 255; None: 65535. `labels` False: ignore class folders and dataset.json. `on_progress(done, total)`:
    called while decoding in place of the progress bar. EXIF orientation is honoured. `download` is not used. Splits and
    classes: see `ganzoo.data.scan.scan_split`; errors: there and `ganzoo.data.cache.cached_images`.
    """
    how = decoding(size, color, fit, background, white)
    listing = scan_split(absolute(path), split, labelled=labels)
    return cached_images(listing, how, split=split, root=root, has_settings=True, on_progress=on_progress)


def decoding(size: int | None, color: str | None, fit: str, background: str, white: int | None) -> Decoding:
    """How files become pixels, by settings as of `load_folder`. Raises SettingError for one that is none."""
    check_size_and_color(size, color, fit, background)
    if white is not None and not 1 <= white <= 65535:
        raise SettingError(f"white is {white}", "give a level from 1 to 65535, such as 4095 for values of 12 bits")
    return Decoding(size, MODES[color or "rgb"], fit, background, white)


def load_celeba(
    root: Path,
    split: str,
    download: bool,
    *,
    size: int | None = 64,
    color: str | None = "rgb",
    fit: str = "crop",
    on_progress: OnProgress | None = None,
) -> Images:
    """CelebA, aligned (Liu et al., 2015): 162,770 + 19,962 faces, unlabelled, uint8 `[N,3,size,size]`.

    The usual preparation: the central 178x178 of 178x218 pixels, then an antialiased resize to `size` (None: 178). The
    splits are CelebA's training and test partitions. Other parameters as for `load_folder`.
    """
    check_size_and_color(size, color, fit)
    base = root / "celeba"
    files = f"the folder img_align_celeba (unpacked from img_align_celeba.zip) and list_eval_partition.txt into {base}"

    def get() -> None:
        import torchvision  # it knows how to ask Google Drive

        torchvision.datasets.CelebA(root, split="all", target_type=[], download=True)

    def build() -> None:
        for needed in (base / "list_eval_partition.txt", base / "img_align_celeba"):
            if not needed.exists():
                raise FileNotFoundError(f"{needed} is missing")

    load_or_fetch("celeba", build, root=root, download=download, files=files, get=get)
    names = _partition(base, split)
    listing = Listing(
        folder=base / "img_align_celeba",
        names=names,
        stats=_stats(base / "img_align_celeba", names),
        facts=Facts(images=len(names), test_split=True),
    )
    how = Decoding(size, MODES[color or "rgb"], fit)
    return cached_images(listing, how, split=split, root=root, on_progress=on_progress)


def _partition(base: Path, split: str) -> list[str]:
    """Files of a split by `list_eval_partition.txt`: lines of a file name and 0 (train), 1 (valid) or 2 (test)."""
    table = base / "list_eval_partition.txt"
    wanted = "2" if split == "test" else "0"
    rows = [line.split() for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
    names = [row[0] for row in rows if len(row) == 2 and row[1] == wanted]
    if not names:
        raise DataError(f"{table} lists no images of the {split} split", "fetch the file again")
    return names


def _stats(folder: Path, names: list[str]) -> np.ndarray:
    """uint64 `[N,5]`: `ganzoo.data.contents.numbers` of the files `names`."""
    wanted = set(names)
    with os.scandir(folder) as entries:
        found = {entry.name: numbers(entry.stat()) for entry in entries if entry.name in wanted}
    return np.array([found.get(name, ABSENT) for name in names], dtype=np.uint64)
