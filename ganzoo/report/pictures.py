"""Pictures of runs, made small: each once, at its native size, as WebP, until the page is full. Torch-free."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
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

QUALITY = 80
"""Of WebP: its artefacts are smaller than what a generator gets wrong."""

WEBP_SIDE = 16383
"""Pixels of the longest side that WebP can have."""


@dataclass(kw_only=True)
class Gallery:
    """The pictures of a page or a site, by a name that goes by their content."""

    limit: int
    most: int = 0  # of pictures that are needed, where that is more
    folder: Path | None = None  # of a site: pictures become files there; None: addresses that hold them
    sources: dict[str, str] = field(default_factory=dict)  # name -> what an <img> has as its src
    taken: int = 0  # bytes
    left_out: set[tuple[str, str]] = field(default_factory=set)  # folder and name of a picture
    _full: set[bool] = field(default_factory=set)  # whether needed: what comes now is not even read
    _known: dict[str, str] = field(default_factory=dict)  # digest of a PNG -> name of what became of it

    def add_file(self, folder: Path, name: str, needed: bool = False) -> str:
        """The name of a run's picture; "" where it is not there, is damaged, or no longer fits."""
        self.left_out.discard((str(folder), name))
        if needed in self._full:
            self.left_out.add((str(folder), name))
            return ""
        try:
            data = read_picture(folder, name)
        except (FileNotFoundError, Unreadable):
            return ""
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._known:
            added = self._add(lambda: decode_png(data), needed)
            if added is None:
                self.left_out.add((str(folder), name))
                return ""
            self._known[digest] = added
        return self._known[digest]

    def add_image(self, image: Image.Image) -> str:
        """As `add_file`, of an image that is no file."""
        return self._add(lambda: image, False) or ""

    def _add(self, opened: Callable[[], Image.Image], needed: bool) -> str | None:
        """None where it no longer fits."""
        try:
            data, ending = encoded(opened())
        except (Unreadable, OSError, ValueError):
            return ""
        size = len(data) if self.folder else len(data) * 4 // 3
        name = hashlib.sha256(data).hexdigest()[:16]
        if name in self.sources:
            return name
        if self.taken + size > (max(self.limit, self.most) if needed else self.limit):
            self._full.add(needed)
            return None
        self.taken += size
        if self.folder is None:
            self.sources[name] = f"data:image/{ending};base64,{base64.b64encode(data).decode('ascii')}"
        else:
            write_bytes(self.folder / "pictures" / f"{name}.{ending}", data)
            self.sources[name] = f"pictures/{name}.{ending}"
        return name


def encoded(image: Image.Image) -> tuple[bytes, str]:
    """A picture as a file that browsers show, and the name of its format."""
    image = native(image)
    buffer = io.BytesIO()
    if max(image.size) > WEBP_SIDE:
        image.save(buffer, format="PNG", optimize=True)
        return buffer.getvalue(), "png"
    image.save(buffer, format="WEBP", quality=QUALITY, method=4)
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
