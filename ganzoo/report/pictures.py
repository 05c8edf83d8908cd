"""Pictures of runs, made small: each once, at its native size, as WebP, until the page is full. Torch-free."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from PIL import Image, ImageChops

from ganzoo.files.pictures import decode_png
from ganzoo.files.reading import MIB, Unreadable, read_picture
from ganzoo.files.writing import write_bytes

PAGE_BYTES = 6 * MIB
"""Of the pictures of a page, as text: with charts, scripts and numbers the page stays below 8 MB."""

NEEDED_BYTES = 15 * MIB
"""Where pictures that nobody wants to miss do not fit: a page of very many runs is larger, but stays below 20 MB."""

SITE_BYTES = 1024 * MIB
"""Of the pictures of a site."""

QUALITY, FILM_QUALITY = 80, 70
"""Of WebP: its artefacts are smaller than what a generator gets wrong. Most bytes are those of films."""

METHOD = 2
"""Of WebP: 4 takes twice the time, for 3 % fewer bytes."""

WEBP_SIDE = 16383
"""Pixels of the longest side that WebP can have."""

AT_ONCE = 64
"""Pictures that are encoded before any of them is counted: of a page that is full, so many may be for nothing."""

File = tuple[Path, str]
"""Folder of a run, and name of a picture in it."""


@dataclass(kw_only=True)
class Gallery:
    """The pictures of a page or a site, by a name that goes by their content."""

    limit: int
    most: int = 0  # of pictures that are needed, where that is more
    folder: Path | None = None  # of a site: pictures become files there; None: addresses that hold them
    sources: dict[str, str] = field(default_factory=dict)  # name -> what an <img> has as its src
    taken: int = 0  # bytes
    left_out: int = 0  # pictures
    _full: set[bool] = field(default_factory=set)  # whether needed: what comes now is not even read
    _damaged: set[str] = field(default_factory=set)  # names

    def add_files(
        self,
        files: Sequence[File],
        *,
        needed: bool = False,
        quality: int = QUALITY,
        more: Callable[[int], object] = lambda done: None,
    ) -> list[str]:
        """The names of runs' pictures; "" of those that are not there, are damaged, or no longer fit.

        Args:
            files: in the order in which they are wanted.
            needed: whether they may go beyond the limit, up to `most`.
            quality: of WebP.
            more: is told of how many more pictures it is known what became of them.
        """
        names = []
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # WebP's encoder waits for no other thread
            for start in range(0, len(files), AT_ONCE):
                some = files[start : start + AT_ONCE]
                names += self._add_some(some, needed, quality, pool)
                more(len(some))
        return names

    def _add_some(self, files: Sequence[File], needed: bool, quality: int, pool: ThreadPoolExecutor) -> list[str]:
        if needed in self._full:
            self.left_out += len(files)
            return [""] * len(files)
        found = [_read(file) for file in files]
        named = [f"{hashlib.sha256(data).hexdigest()[:14]}{quality}" if data else "" for data in found]
        new = {name: data for name, data in zip(named, found, strict=True) if data and not self._known(name)}
        made = dict(zip(new, pool.map(partial(_small, quality=quality), new.values()), strict=True))
        return [self._place(name, made.get(name), needed) if name else "" for name in named]

    def _known(self, name: str) -> bool:
        return name in self.sources or name in self._damaged

    def add_image(self, image: Image.Image) -> str:
        """As `add_files`, of an image that is no file."""
        data, ending = encoded(image)
        return self._place(hashlib.sha256(data).hexdigest()[:16], (data, ending), False)

    def _place(self, name: str, made: tuple[bytes, str] | None, needed: bool) -> str:
        """The name; "" where the picture is damaged (None), or no longer fits."""
        if name in self.sources:
            return name
        if made is None:
            self._damaged.add(name)
            return ""
        data, ending = made
        size = len(data) if self.folder else len(data) * 4 // 3
        if needed in self._full or self.taken + size > (max(self.limit, self.most) if needed else self.limit):
            self._full.add(needed)
            self.left_out += 1
            return ""
        self.taken += size
        if self.folder is None:
            self.sources[name] = f"data:image/{ending};base64,{base64.b64encode(data).decode('ascii')}"
        else:
            write_bytes(self.folder / "pictures" / f"{name}.{ending}", data)
            self.sources[name] = f"pictures/{name}.{ending}"
        return name


def _read(file: File) -> bytes | None:
    """None: it is not there, or no picture that can be shown."""
    try:
        return read_picture(*file)
    except (FileNotFoundError, Unreadable):
        return None


def _small(data: bytes, quality: int) -> tuple[bytes, str] | None:
    """As `encoded`, of a PNG; None: it is damaged."""
    try:
        return encoded(decode_png(data, grey=True), quality)
    except (Unreadable, OSError, ValueError):
        return None


def encoded(image: Image.Image, quality: int = QUALITY) -> tuple[bytes, str]:
    """A picture as a file that browsers show, and the name of its format."""
    image = native(image)
    buffer = io.BytesIO()
    if max(image.size) > WEBP_SIDE:
        image.save(buffer, format="PNG", optimize=True)
        return buffer.getvalue(), "png"
    image.save(buffer, format="WEBP", quality=quality, method=METHOD)
    return buffer.getvalue(), "webp"


def native(image: Image.Image) -> Image.Image:
    """RGB or grey -> the smallest image of which it is an enlargement by a whole factor; grey where all pixels are."""
    if image.mode == "RGB":
        red, green, blue = image.split()
        if ImageChops.difference(red, green).getbbox() is None and ImageChops.difference(red, blue).getbbox() is None:
            image = red
    for factor in range(16, 1, -1):
        if image.width % factor or image.height % factor:
            continue
        small = image.resize((image.width // factor, image.height // factor), Image.Resampling.NEAREST)
        again = small.resize(image.size, Image.Resampling.NEAREST)
        if ImageChops.difference(image, again).getbbox() is None:
            return small
    return image
