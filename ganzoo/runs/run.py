"""A run as plain Python data: what its directory holds. Torch-free."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.config.places import as_path
from ganzoo.errors import RunError, UnknownName
from ganzoo.files.frames import Frame, to_frame
from ganzoo.files.reading import Unreadable, read_picture, refused
from ganzoo.runs.directory import RunDirectory, kimg_of
from ganzoo.runs.find import find_run

if TYPE_CHECKING:
    from PIL.Image import Image

    from ganzoo.runs.filming import Film


class Run:
    """A run directory, finished or not. Everything is read when it is asked for, so a run that goes on is as it is now.

    `path`: the directory. Two runs are equal where their directories are.
    """

    def __init__(self, source: str | Path) -> None:
        """
        Args:
            source: a run directory, or the name of a variant: its newest run under runs/ that has a snapshot.

        Raises:
            RunError: there is no such run.
        """
        path = as_path(source, "source")  # of a result that was copied alone, too
        self._directory = RunDirectory(path) if os.path.lexists(path / "result.json") else find_run(str(path))
        self.path = self._directory.path

    @classmethod
    def at(cls, directory: RunDirectory) -> Run:
        """Of a directory that may have nothing in it yet."""
        run = cls.__new__(cls)
        run._directory, run.path = directory, directory.path
        return run

    @property
    def config(self) -> dict[str, Any]:
        """Every setting of the run; `ganzoo.train(config=run.config)` repeats it. Raises RunError: it is damaged."""
        return self._directory.read_config()

    @property
    def result(self) -> dict[str, Any] | None:
        """The record of the finished run, result.json: scores, speed, memory, conditions. None: it is not finished.

        Raises:
            RunError: it is damaged.
        """
        return self._directory.read_result()

    @property
    def finished(self) -> bool:
        """Whether there is a result, and no failure since."""
        return self.result is not None and not self.failure

    @property
    def diverged(self) -> bool:
        """Whether the finished run stopped training because a loss was no longer finite."""
        result = self.result
        return result is not None and bool(result["diverged"])

    @property
    def failure(self) -> str:
        """Why there is no result, in a line; "" where nothing is known."""
        return self._directory.read_failure()

    @property
    def values(self) -> dict[str, float]:
        """The scores of the end of the finished run: "fid", "is", ... Empty: not finished, diverged, or not scored."""
        return dict(((self.result or {}).get("last") or {}).get("values") or {})

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """A record for each scored snapshot, oldest first: "kimg", "images", "values", "seconds", "protocol", ..."""
        return self._directory.metrics()

    @property
    def stats(self) -> list[dict[str, Any]]:
        """A record for each tick of training, oldest first: "kimg", "seconds", "img_per_s", losses, ...;
        without "g_loss" where G was not trained since the one before, as with several steps of D for each of G.
        """
        return self._directory.stats()

    @property
    def diagnostics(self) -> list[dict[str, Any]]:
        """What was found to be wrong, oldest first: "kimg", "rule", "text", "cure", "link"; docs/diagnostics.md."""
        return self._directory.diagnostics()

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, plugins, device and commit of the machine that trains it. Empty: not known."""
        return self._directory.read_environment()

    @property
    def snapshots(self) -> list[Path]:
        """Files of the averaged generator, oldest first, named by kimg: `ganzoo.load` reads them."""
        return self._directory.snapshots()

    @property
    def samples(self) -> list[Image]:
        """The grids of generated images, RGB, oldest first, of the same noise each. Their kimg is in `info["kimg"]`.

        Raises:
            RunError: one cannot be read.
        """
        return [self._picture(file) for file in self._directory.samples()]

    @property
    def last_grid(self) -> Image | None:
        """The last of `samples`; None: there is none yet. Raises RunError: it cannot be read."""
        files = self._directory.samples()
        return self._picture(files[-1]) if files else None

    @property
    def neighbours(self) -> list[Image]:
        """As `samples`: generated images above the training images that they are nearest to."""
        return [self._picture(file) for file in self._directory.neighbours()]

    @property
    def real(self) -> Image:
        """Real images, laid out as `samples` are. Raises RunError: it cannot be read."""
        return self._picture(self.path / "real.png")

    def _picture(self, file: Path) -> Image:
        from ganzoo.files.pictures import decode_png

        try:
            image = decode_png(read_picture(self.path, file.relative_to(self.path).as_posix()))
        except (FileNotFoundError, Unreadable) as error:
            raise refused(file, error) from None
        image.info = {} if file.name == "real.png" else {"kimg": kimg_of(file)}
        return image

    def film(
        self,
        *beside: str | os.PathLike[str],
        out: str | os.PathLike[str] | None = None,
        fps: float = 8.0,
        size: int | None = None,
        even: int | None = None,
    ) -> Film:
        """Write how its images came to be, with other runs `beside` it; otherwise as `ganzoo.film`, errors too."""
        from ganzoo.runs.filming import film

        return film(self, *beside, out=out, fps=fps, size=size, even=even)

    def to_frame(self, of: str = "stats") -> Frame:
        """The ticks of training as a table, or, `of` "metrics", the scored snapshots, a column for each score.

        Raises:
            UserError: pandas is not installed; `of` is neither.
        """
        if of not in ("stats", "metrics"):
            raise UnknownName("frame of a run", str(of), ("stats", "metrics"))
        if of == "stats":
            return to_frame(self.stats)
        about = ("kimg", "images", "seconds", "sample_img_per_s", "peak_memory", "protocol")
        return to_frame([{**{key: score.get(key) for key in about}, **score["values"]} for score in self.metrics])

    def _repr_html_(self) -> str:
        from ganzoo.runs.shown import run_html

        return run_html(self)

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and os.path.realpath(self.path) == os.path.realpath(other.path)

    def __hash__(self) -> int:
        return hash(os.path.realpath(self.path))

    def __repr__(self) -> str:
        try:
            result = self.result
        except RunError:
            return f"<Run {self.path}: damaged>"
        if result is None:
            return f"<Run {self.path}: {self.failure or 'not finished'}>"
        fid = self.values.get("fid")
        score = "" if fid is None else f", FID {fid:.2f}"
        return f"<Run {self.path}: {result['variant']}, {result['status']}, {result['kimg']:g} kimg{score}>"
