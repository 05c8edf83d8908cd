"""What generated images are written as: one grid, a folder of images, or arrays."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganzoo.errors import RunError, SettingError
from ganzoo.files.npz import add_array, npz_member
from ganzoo.files.progress import working
from ganzoo.files.writing import check_file, write_atomic, write_bytes, write_text, writing
from ganzoo.runs.grid import make_grid, save_png, to_image
from ganzoo.runs.sampling import Samples, near_square

MARK = ".ganzoo-sample.json"
"""Lies in a folder that `write_folder` has filled: its images may be replaced."""

Writer = Callable[[Path, Samples], None]


def output_of(text: str) -> tuple[Path, Writer]:
    """Where and by what: NAME.png a grid, NAME.npz arrays, NAME.webp and NAME.gif a film along the rows of a grid; a
    folder there is, NAME/ or a name without ending, a folder.

    Raises:
        SettingError: another ending.
        RunError: a folder with other things in it.
    """
    path = Path(text)
    ending = path.suffix.lower()
    if text.endswith(("/", os.sep)) or path.is_dir() or not ending:
        _check_folder(path)
        return path, write_folder
    check_file(path)
    if ending in (".png", ".npz"):
        return path, write_grid if ending == ".png" else write_npz
    if ending in MOVING:
        return path, write_animation
    raise SettingError(
        f"images cannot be written as {ending}: {path}",
        "end --out in .png for one grid, in .npz for arrays, or in / for a folder with a PNG of each image",
    )


def write_grid(path: Path, samples: Samples) -> None:
    """All images in one PNG, row by row, enlarged so that a person can see them."""
    save_png(path, make_grid(torch.cat([pixels for pixels, _ in _blocks(samples)]), samples.columns))


FRAME_SECONDS = 1 / 12

MOVING = (".webp", ".gif")
"""Endings of films."""


def check_still(path: Path) -> None:
    """Raises SettingError: images that lead nowhere are asked for as a film."""
    if path.suffix.lower() in MOVING:
        raise SettingError(
            f"a film needs something that changes: {path}", "say --interpolate 0:1, or end --out in .png"
        )


def write_animation(path: Path, samples: Samples) -> None:
    """What leads along the rows of a grid, in time: a frame for each step, of an image of each row, there and back.

    Raises:
        SettingError: the images lead nowhere: neither an interpolation, nor a code that is swept.
    """
    if not samples.by_row:
        check_still(path)
    pixels = torch.cat([made for made, _ in _blocks(samples)])
    rows = pixels.view(-1, samples.columns, *pixels.shape[1:])
    columns = near_square(len(rows), 1)
    steps = [to_image(make_grid(rows[:, step], columns), 480) for step in range(samples.columns)]
    frames = [*steps, *steps[-2:0:-1]]
    buffer = io.BytesIO()
    form, options = ("GIF", {}) if path.suffix.lower() == ".gif" else ("WEBP", {"quality": 80})
    duration = round(FRAME_SECONDS * 1000)
    frames[0].save(buffer, format=form, save_all=True, append_images=frames[1:], duration=duration, loop=0, **options)
    write_bytes(path, buffer.getvalue())


def write_beside(path: Path, samples: Samples, write: Writer) -> Path:
    """Write to `path`, or where that is there to NAME-2 and on; returns where it is. A file is not kept twice."""
    fresh, number, earlier = path, 1, []
    while fresh.exists():
        earlier.append(fresh)
        number += 1
        fresh = path.with_name(f"{path.stem}-{number}{path.suffix}")
    write(fresh, samples)
    data = fresh.read_bytes()
    for file in earlier:
        if file.is_file() and file.stat().st_size == len(data) and file.read_bytes() == data:
            fresh.unlink()
            return file
    return fresh


def write_folder(path: Path, samples: Samples) -> None:
    """`path/000000.png` and on, each in its own size, grey as grey; of conditional variants in folders by class, which
    `folder:PATH` reads as labels. An earlier sample's images give way.

    Raises:
        RunError: there are other things in `path`.
        UserError: it cannot be written.
    """
    digits = max(6, len(str(samples.count - 1)))
    folders = _folder_names(samples)
    with writing(path):
        for old in _check_folder(path):
            old.unlink()
        path.mkdir(parents=True, exist_ok=True)
        for old in path.iterdir():
            if old.is_dir():
                old.rmdir()
        for name in {folders[label] for label in samples.made}:
            (path / name).mkdir()
    write_text(path / MARK, json.dumps({"images": samples.count, "snapshot": str(samples.file)}) + "\n")
    done = 0
    for pixels, labels in _blocks(samples):
        arrays = pixels.permute(0, 2, 3, 1).numpy()  # uint8 [B,H,W,C]
        with writing(path):
            for index, array in enumerate(arrays):
                folder = path if labels is None else path / folders[int(labels[index])]
                image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
                image.save(folder / f"{done + index:0{digits}d}.png", format="PNG")
        done += len(arrays)


def write_npz(path: Path, samples: Samples) -> None:
    """`arr_0` uint8 `[N,H,W,C]` and, of conditional variants, `arr_1` int64 `[N]`: as `npz:PATH` and the evaluator of
    guided diffusion (ADM) read them. Written block by block: the images are never in memory all at once.
    """
    channels, height, width = samples.snapshot.shape
    header = {"descr": "|u1", "fortran_order": False, "shape": (samples.count, height, width, channels)}

    def write(temporary: Path) -> None:
        classes: list[np.ndarray[Any, Any]] = []
        with zipfile.ZipFile(temporary, "w") as archive:
            with npz_member(archive, "arr_0") as file:
                np.lib.format.write_array_header_1_0(file, header)
                for pixels, labels in _blocks(samples):
                    file.write(pixels.permute(0, 2, 3, 1).contiguous().numpy().tobytes())
                    if labels is not None:
                        classes.append(labels.numpy())
            if classes:
                add_array(archive, "arr_1", np.concatenate(classes))

    write_atomic(path, write)


def _blocks(samples: Samples) -> Iterator[tuple[Tensor, Tensor | None]]:
    """`samples.blocks()`, and how far they have come."""
    with working("sampling", samples.count) as count:
        for pixels, labels in samples.blocks():
            yield pixels, labels
            count(len(pixels))


def _check_folder(path: Path) -> list[Path]:
    """The images of an earlier sample in `path`, which may not exist yet.

    Raises:
        RunError: there are other things in it.
    """
    cure = "give a folder that is new or empty"
    with writing(path):
        if not path.exists():
            return []
        if not path.is_dir():
            raise RunError(f"{path} is a file, not a folder", "end --out in .png or .npz, or " + cure)
        entries = sorted(path.iterdir())
    ours = (path / MARK).is_file()
    images = []
    for entry in entries:
        below = ours and entry.is_dir() and not entry.is_symlink()
        inside = sorted(entry.iterdir()) if below else [entry]
        for file in inside:
            if ours and file == path / MARK:
                continue
            if not ours or not re.fullmatch(r"\d{6,}\.png", file.name) or not file.is_file():
                raise RunError(f"{path} holds other files, such as {file.relative_to(path)}", cure)
            images.append(file)
    return images


def _folder_names(samples: Samples) -> list[str]:
    """A folder's name for every class: the class's, or its number where the names cannot all be those of folders."""
    names = [samples.class_name(label) for label in range(samples.snapshot.num_classes)]
    # a file of another's making may name its classes "../../x"; folders that begin with a dot are not read back
    sound = all(re.fullmatch(r"[^\x00-\x1f/\\:.][^\x00-\x1f/\\:]{0,99}", name) for name in names)
    alike = len({name.casefold() for name in names}) < len(names)
    return names if sound and not alike else [str(label) for label in range(len(names))]
