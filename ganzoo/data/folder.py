"""`folder:PATH`, any folder of images, and CelebA, which torchvision leaves as one."""

from __future__ import annotations

import os
from pathlib import Path

from ganzoo.data.cache import cached_images
from ganzoo.data.fetch import fetch
from ganzoo.data.images import Images
from ganzoo.data.pixels import check_size_and_color
from ganzoo.data.progress import OnProgress
from ganzoo.data.scan import File, Listing, scan_split
from ganzoo.errors import DataError


def load_folder(
    root: Path,
    split: str,
    download: bool,
    *,
    path: Path | str,
    size: int | None = None,
    color: str | None = "rgb",
    labels: bool = True,
    on_progress: OnProgress | None = None,
) -> Images:
    """Images of a folder, with class folders or flat, decoded once into a memory-mapped cache under `root`.

    `size`: pixels; images are centre-cropped to squares and resized with antialiasing; None: all images must have one
    size. `color`: "rgb" (also None) or "gray". `labels` False: ignore class folders. `on_progress(done, total)`: called
    while decoding in place of the progress bar. EXIF orientation is honoured; transparent images are laid over black;
    16-bit grey is scaled to 8 bits. `download` is not used. Splits and classes: see
    `ganzoo.data.scan.scan_split`; errors: there and `ganzoo.data.cache.cached_images`.
    """
    check_size_and_color(size, color)
    listing = scan_split(Path(path).expanduser().resolve(), split, labelled=labels)
    return cached_images(listing, root=root, size=size, color=color or "rgb", on_progress=on_progress)


def load_celeba(
    root: Path,
    split: str,
    download: bool,
    *,
    size: int | None = 64,
    color: str | None = "rgb",
    on_progress: OnProgress | None = None,
) -> Images:
    """CelebA, aligned (Liu et al., 2015): 162,770 + 19,962 faces, unlabelled, uint8 `[N,3,size,size]`.

    The usual preparation: the central 178x178 of 178x218 pixels, then an antialiased resize to `size` (None: 178). The
    splits are CelebA's training and test partitions. Other parameters as for `load_folder`.
    """
    check_size_and_color(size, color)
    base = root / "celeba"
    files = f"the folder img_align_celeba (unpacked from img_align_celeba.zip) and list_eval_partition.txt into {base}"

    def build(download: bool) -> None:
        if download:
            import torchvision

            torchvision.datasets.CelebA(root, split="all", target_type=[], download=True)
        for needed in (base / "list_eval_partition.txt", base / "img_align_celeba"):
            if not needed.exists():
                raise FileNotFoundError(f"{needed} is missing")

    fetch("celeba", build, root=root, download=download, files=files)
    listing = Listing(folder=base / "img_align_celeba", files=_partition(base, split), class_names=None)
    return cached_images(listing, root=root, size=size, color=color or "rgb", on_progress=on_progress)


def _partition(base: Path, split: str) -> tuple[File, ...]:
    """The files of a split by `list_eval_partition.txt`: lines of a file name and 0 (train), 1 (valid) or 2 (test)."""
    table = base / "list_eval_partition.txt"
    wanted = "2" if split == "test" else "0"
    rows = [line.split() for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
    names = [row[0] for row in rows if len(row) == 2 and row[1] == wanted]
    if not names:
        raise DataError(f"{table} lists no images of the {split} split", "fetch the file again")
    with os.scandir(base / "img_align_celeba") as entries:
        stats = {entry.name: entry.stat() for entry in entries}
    return tuple(File.of(name, stats[name]) if name in stats else File(name, -1, 0) for name in names)
