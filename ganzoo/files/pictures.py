"""PNG files as images of PIL. Torch-free."""

from __future__ import annotations

import io

from PIL import Image

from ganzoo.files.reading import Unreadable


def decode_png(data: bytes, *, grey: bool = False) -> Image.Image:
    """RGB, of what `read_picture` has read; `grey`: but a grey file stays grey. Raises Unreadable: it is damaged."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as opened:
            return opened.convert("L" if grey and opened.mode == "L" else "RGB")
    except (OSError, SyntaxError) as error:  # SyntaxError is Pillow's word for a damaged PNG
        raise Unreadable(str(error)) from None
