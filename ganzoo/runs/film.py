"""Films of training: the pictures of one run or several, side by side, one moment after the other. Torch-free."""

from __future__ import annotations

import bisect
import contextlib
import io
import math
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ganzoo.errors import SettingError, UserError
from ganzoo.files.pictures import decode_png
from ganzoo.files.reading import Unreadable, read_picture, refused
from ganzoo.files.writing import write_atomic, write_bytes
from ganzoo.runs.directory import RunDirectory, lacking
from ganzoo.runs.pictures import moments

ENDINGS = (".webp", ".gif", ".mp4")

FRAME_PIXELS = 24 * 1024 * 1024
"""Of a picture, and of a frame: a grid of 80 images of 512 x 512."""

FILM_PIXELS = 256 * 1024 * 1024
"""Of all frames together."""

MOST_RUNS = 12
"""Of a film."""

IN_A_ROW = 4
"""Runs side by side; more are in several rows."""

HOLD = 1.5
"""Seconds that the last frame stays for."""

LINE = 24
"""Pixels of a line of text."""

GAP = 8
"""Pixels between runs."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """One run of a film."""

    run: RunDirectory
    name: str  # that is written above it
    pictures: dict[float, Path]  # by kimg, in order


def tracks_of(runs: Sequence[RunDirectory]) -> list[Track]:
    """With what tells the runs apart for a name: the variant, its seed where there are several, else the folder.

    Raises:
        RunError: one of them has no picture, or is damaged.
    """
    if len(runs) > MOST_RUNS:
        raise SettingError(f"{len(runs)} runs are too many for a film", f"name at most {MOST_RUNS}")
    configs = [run.read_config() for run in runs]
    names = [config["variant"]["name"] for config in configs]
    for more in ([f"seed {config.get('seed', 0)}" for config in configs], [run.path.resolve().name for run in runs]):
        if len(set(names)) < len(names):
            names = [f"{name}, {extra}" for name, extra in zip(names, more, strict=True)]
    tracks = [Track(run=run, name=name, pictures=moments(run)) for run, name in zip(runs, names, strict=True)]
    for track in tracks:
        if not track.pictures:
            raise lacking(track.run, "pictures")
    return tracks


def times_of(tracks: Sequence[Track], *, even: int | None = None) -> list[float]:
    """kimg of the frames: whenever any run has a picture; or `even` of them, equally far apart."""
    taken = sorted({kimg for track in tracks for kimg in track.pictures})
    if even is None or len(taken) < 2:
        return taken
    first, last = taken[0], taken[-1]
    return [first + (last - first) * index / (even - 1) for index in range(even)]


def write_film(
    tracks: Sequence[Track], times: Sequence[float], out: Path, *, fps: float = 8.0, size: int = 480
) -> None:
    """Write `out`: .webp, .gif or .mp4, by its ending.

    Args:
        tracks: the runs, side by side; each shows its newest picture.
        times: kimg of the frames.
        out: replaced where it is there.
        fps: frames each second; the last frame stays longer.
        size: pixels of the width that pictures are brought to.

    Raises:
        RunError: a picture cannot be read, or is too large.
        SettingError: another ending.
        UserError: there is no ffmpeg for an MP4; the file cannot be written.
    """
    ending = ending_of(out)
    if ending == ".mp4":
        write_mp4(frames(tracks, times, size), out, fps)
        return
    made = frames(tracks, times, size)
    first = next(made)
    if first.width * first.height * len(times) > FILM_PIXELS:
        raise SettingError(
            f"{len(times)} frames of {first.width} x {first.height} are too large a film", "give a smaller --size"
        )
    shown = max(20, round(1000 / fps))  # ms
    durations = [shown] * (len(times) - 1) + [max(shown, round(HOLD * 1000))]
    buffer = io.BytesIO()
    if ending == ".gif":
        # grey pictures have 256 levels, colours as many as are next to what there is
        quantised = (frame.convert("P", palette=Image.Palette.ADAPTIVE) for frame in made)
        first.convert("P", palette=Image.Palette.ADAPTIVE).save(
            buffer, format="GIF", save_all=True, append_images=quantised, duration=durations, loop=0
        )
    else:
        first.save(
            buffer, format="WEBP", save_all=True, append_images=made, duration=durations, loop=0, quality=80, method=3
        )
    write_bytes(out, buffer.getvalue())


def ending_of(out: Path) -> str:
    """Raises SettingError: no film is called so."""
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        shown = ending or "a name without ending"
        raise SettingError(f"a film cannot be written as {shown}: {out}", "end --out in .webp, .gif or .mp4")
    return ending


def frames(tracks: Sequence[Track], times: Sequence[float], size: int) -> Iterator[Image.Image]:
    """RGB, all of one size. Errors as in `write_film`."""

    @lru_cache(maxsize=2 * MOST_RUNS)
    def picture(index: int, kimg: float) -> Image.Image:
        image = _read(tracks[index].run, tracks[index].pictures[kimg])
        return _fitted(image, size)

    kimgs = [list(track.pictures) for track in tracks]
    sizes = [picture(index, of[-1]).size for index, of in enumerate(kimgs)]
    rows = math.ceil(len(tracks) / IN_A_ROW)
    columns = math.ceil(len(tracks) / rows)
    across, down = max(120, *(width for width, _ in sizes)) + GAP, max(height for _, height in sizes) + 2 * LINE
    width, height = columns * across - GAP, rows * down
    width, height = width + width % 2, height + height % 2  # as codecs want it
    if width * height > FRAME_PIXELS:
        raise SettingError(f"frames of {width} x {height} are too large", "give a smaller --size, or fewer runs")
    font = ImageFont.load_default(size=15)
    for time in times:
        canvas = Image.new("RGB", (width, height), "white")
        draw = ImageDraw.Draw(canvas)
        for index, track in enumerate(tracks):
            left, top = index % columns * across, index // columns * down
            at = max(0, bisect.bisect_right(kimgs[index], time + 1e-9) - 1)
            kimg = kimgs[index][at]
            image = picture(index, kimg)
            draw.text((left + 2, top + 3), _short(track.name, across - GAP, font), fill="black", font=font)
            if image.size != sizes[index]:  # of before the run was given another size of pictures
                image = image.resize(sizes[index])
            canvas.paste(image, (left, top + LINE))
            draw.text((left + 2, top + LINE + sizes[index][1] + 3), f"{kimg:.2f} kimg", fill="black", font=font)
        yield canvas


def _short(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of a name as there is room for."""
    shown = text
    while shown and font.getlength(shown) > width - 4:
        text = text[:-1]
        shown = f"{text}..." if text else ""
    return shown


def _read(run: RunDirectory, file: Path) -> Image.Image:
    try:
        data = read_picture(run.path, f"{file.parent.name}/{file.name}")
        if int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big") > FRAME_PIXELS:
            raise Unreadable("is too large for a film")
        return decode_png(data)
    except (FileNotFoundError, Unreadable) as error:
        raise refused(file, error) from None


def _fitted(image: Image.Image, width: int) -> Image.Image:
    """Enlarged by a whole factor, or shrunk, to about `width` pixels: pixels stay square and sharp."""
    factor = max(1, round(width / image.width))
    size = (image.width * factor, image.height * factor)
    if image.width > width:
        size = (width, max(1, round(image.height * width / image.width)))
    if size[0] * size[1] > FRAME_PIXELS:  # before there are so many
        raise SettingError(f"frames of {size[0]} x {size[1]} are too large", "give a smaller --size")
    return image.resize(size, Image.Resampling.NEAREST if image.width <= width else Image.Resampling.LANCZOS)


def write_mp4(made: Iterator[Image.Image], out: Path, fps: float) -> None:
    """H.264, as every browser and slide program plays it. Errors as in `write_film`."""
    ffmpeg = find_ffmpeg()
    first = next(made)
    command = [ffmpeg, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{first.width}x{first.height}", "-r", f"{fps:g}", "-i", "-"]
    command += ["-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18", "-movflags", "+faststart", "-f", "mp4"]

    def write(temporary: Path) -> None:
        with subprocess.Popen([*command, str(temporary)], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            assert child.stdin is not None
            assert child.stderr is not None
            last = first
            try:
                child.stdin.write(first.tobytes())
                for last in made:
                    child.stdin.write(last.tobytes())
                for _ in range(math.ceil(HOLD * fps) - 1):
                    child.stdin.write(last.tobytes())
            except BrokenPipeError:  # it says why
                pass
            except BaseException:
                child.kill()
                raise
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
            told = child.stderr.read().decode(errors="replace").strip()
            if child.wait():
                raise UserError(
                    f"ffmpeg could not write the film: {(told.splitlines() or ['no message'])[-1]}",
                    "write it as .webp, or install another ffmpeg: uv pip install imageio-ffmpeg",
                )

    write_atomic(out, write)


def find_ffmpeg() -> str:
    """The system's, or that of the package imageio-ffmpeg. Raises UserError: there is neither."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise UserError(
            "an MP4 needs ffmpeg, which is not installed",
            "write it as .webp, or install one: uv pip install imageio-ffmpeg",
        ) from None
