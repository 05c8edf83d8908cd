"""The library's functions about one run: train, load, evaluate. No printing, no parsing of arguments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from PIL.Image import Image
from torch import Tensor, nn

from ganzoo.config.options import config_of
from ganzoo.config.recipes import known_settings
from ganzoo.config.run_config import RunConfig
from ganzoo.engine.device import resolve_device
from ganzoo.engine.loop import Observer
from ganzoo.errors import RunError, UserError
from ganzoo.files.frames import Frame, to_frame
from ganzoo.gan import named
from ganzoo.runs.begin import init_sha256, shorter_run
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.evaluation import evaluate_source
from ganzoo.runs.job import run_job
from ganzoo.runs.names import folder_of
from ganzoo.runs.question import Question
from ganzoo.runs.sampling import snapshot_file
from ganzoo.runs.snapshots import LoadedSnapshot, load_snapshot
from ganzoo.scoring.generation import generate
from ganzoo.scoring.scorer import load_images
from ganzoo.zoo.registry import Registry

Plugins = Iterable[str | Path]
Tell = Callable[[str], None]


def _silent(line: str) -> None:
    pass


def registry_of(plugins: Plugins = ()) -> Registry:
    """The installed zoo, and local plugin files."""
    return Registry.load([Path(file) for file in plugins], known=known_settings())


def root_of(data_root: str | Path | None) -> Path:
    """Where datasets and caches are: `data_root`, $GANZOO_DATA, or ~/.cache/ganzoo."""
    return Path(data_root or os.environ.get("GANZOO_DATA") or "~/.cache/ganzoo").expanduser().absolute()


@dataclass(frozen=True)
class Run:
    """A run directory: its records as plain Python data, its pictures as PIL images."""

    path: Path

    @property
    def directory(self) -> RunDirectory:
        return RunDirectory(self.path)

    @property
    def result(self) -> dict[str, Any] | None:
        """Content of result.json; None: it is not finished."""
        return self.directory.read_result()

    @property
    def config(self) -> dict[str, Any]:
        return self.directory.read_config()

    @property
    def stats(self) -> list[dict[str, Any]]:
        """One per tick: kimg, seconds, img_per_s, losses, ...; see docs/runs.md."""
        return self.directory.stats()

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One per scored snapshot."""
        return self.directory.metrics()

    @property
    def values(self) -> dict[str, float]:
        """The scores of the last snapshot, by name; empty where there are none."""
        last = (self.result or {}).get("last") or {}
        return dict(last.get("values") or {})

    def samples(self) -> list[Image]:
        """The grids of generated images, one per snapshot, oldest first."""
        return [PIL.Image.open(path).copy() for path in self.directory.samples()]

    def to_frame(self) -> Frame:
        """`stats` as a pandas DataFrame. UserError without pandas."""
        return to_frame(self.stats)


def train(
    variant: str,
    *,
    out: str | Path | None = None,
    data_root: str | Path | None = None,
    plugins: Plugins = (),
    sets: Sequence[str] = (),
    config: str | Path | Mapping[str, Any] | None = None,
    observers: Sequence[Observer] = (),
    announce: Tell = _silent,
    report: Tell = _silent,
    **options: Any,
) -> Run:
    """Train `variant` and score it, as `ganzoo train`: the same call continues an interrupted run.

    Args:
        variant: its name, as `ganzoo list` says.
        out: run directory; None: runs/DATASET/VARIANT-...
        data_root: folder of datasets and caches; None: $GANZOO_DATA or ~/.cache/ganzoo.
        plugins: Python files to load plugins from.
        sets: settings, "train.batch_size=32".
        config: TOML or JSON file, or what it would hold.
        observers: told of ticks, snapshots and the end.
        announce: told, in a line, what takes a while.
        report: told, in a line, what has to be known of the run.
        options: those of the command, by name: dataset, objective, regularize, augment, features, size, kimg, minutes,
            until, seed, device, precision, preset, log, num_images, init.

    Raises:
        UserError: anything that the caller can mend; what has been computed is kept.
    """
    registry, root = registry_of(plugins), root_of(data_root)
    chosen = config_of(registry, variant, sets=sets, config=config, **options)
    images = load_images(registry, chosen, root, "train")
    path = None if out is None else Path(out)
    if path is None:
        data = images.sha256 + init_sha256(chosen.init)
        fresh = folder_of(registry, chosen, Path("runs"), data)
        path = shorter_run(fresh, registry, chosen, images) or fresh
    run = RunDirectory(path)
    begins = not os.path.exists(run.config_file)
    try:
        run_job(
            registry,
            chosen,
            path,
            root=root,
            images=images,
            observers=observers,
            announce=announce,
            report=report,
        )
    except UserError:
        if begins:
            run.discard_unstarted()
        raise
    except Exception as error:
        run.write_failure(f"{type(error).__name__}: {error}")
        raise
    return Run(path)


class Generator:
    """A trained generator. Called as `(z, labels)`, it is the network: z float32 `[N, z_dim]`, labels int64 `[N]` or
    None -> images float32 `[N,C,H,W]` in [-1, 1].
    """

    def __init__(self, snapshot: LoadedSnapshot, file: Path, device: torch.device, conditional: bool) -> None:
        self._snapshot, self.file, self.device, self._conditional = snapshot, file, device, conditional

    @property
    def module(self) -> nn.Module:
        return self._snapshot.generator

    @property
    def z_dim(self) -> int:
        return self._snapshot.z_dim

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self._snapshot.shape

    @property
    def num_classes(self) -> int:
        """0: it takes no labels."""
        return self._snapshot.num_classes if self._conditional else 0

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return self._snapshot.class_names

    @property
    def config(self) -> RunConfig:
        return self._snapshot.config

    @property
    def kimg(self) -> float:
        """Thousands of real images that it was trained on."""
        return self._snapshot.images / 1000

    @torch.no_grad()
    def __call__(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        labels = None if labels is None else labels.to(self.device)
        return named(self.module(z.to(self.device), labels), "images")["images"]

    def sample(self, n: int, *, labels: Sequence[int] | None = None, seed: int = 0) -> Tensor:
        """uint8 `[n,C,H,W]` on the CPU; image i is that of `ganzoo sample` with the same seed and labels.

        `labels`: class numbers, taken in turn; None: all classes in turn, where it is conditional.

        Raises:
            UserError: labels of an unconditional generator, or of classes that there are not.
        """
        if labels is not None and not self.num_classes:
            raise RunError("this generator takes no labels", "leave labels out, or load a conditional variant's run")
        wrong = next((label for label in labels or () if not 0 <= label < self.num_classes), None)
        if wrong is not None:
            raise RunError(f"there is no class {wrong}", f"classes are 0 to {self.num_classes - 1}")
        turn = labels if labels is not None else range(self.num_classes)
        asked = torch.tensor(list(turn)) if self.num_classes else None
        made = generate(
            self.module,
            self.z_dim,
            n,
            labels=asked,
            seed=seed,
            batch_size=n,
            device=self.device,
            prior=self._snapshot.prior,
        )
        return torch.cat([pixels.cpu() for pixels, _ in made])

    def images(self, n: int, *, labels: Sequence[int] | None = None, seed: int = 0) -> list[Image]:
        """As `sample`, as PIL images of the size that they are made in."""
        made = self.sample(n, labels=labels, seed=seed).permute(0, 2, 3, 1).numpy()
        return [PIL.Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels) for pixels in made]


def load(
    source: str | Path | Run, *, snapshot: float | None = None, device: str = "auto", plugins: Plugins = ()
) -> Generator:
    """The averaged generator of a run, of the newest run of a variant, or of a .safetensors file.

    Args:
        source: run directory, variant, file, or what `train` has returned.
        snapshot: take the one nearest to this many kimg; None: the last.
        device: where its images are made.
        plugins: Python files to load plugins from.

    Raises:
        UserError: no such run, a damaged snapshot, a variant whose plugin is not loaded.
    """
    registry, where = registry_of(plugins), resolve_device(device)
    _, file = snapshot_file(str(source.path if isinstance(source, Run) else source), snapshot)
    loaded = load_snapshot(file, registry, where)
    return Generator(loaded, file, where, registry.variant(loaded.config.variant.name).conditional)


def evaluate(
    source: str | Path | Run,
    *,
    data_root: str | Path | None = None,
    plugins: Plugins = (),
    announce: Tell = _silent,
    **options: Any,
) -> dict[str, Any]:
    """Score a run, a snapshot, a folder of images or an npz against a dataset, as `ganzoo eval --json` says it.

    `options`: those of the command, by name: dataset, reference, features, metrics, num_images, size, snapshot, sets,
    device. The answer holds "values", "floors", "protocol", "images", ...

    Raises:
        UserError: nothing to score, or anything that makes the score meaningless.
    """
    question = Question(source=str(source.path if isinstance(source, Run) else source), **options)
    return evaluate_source(registry_of(plugins), question, root=root_of(data_root), announce=announce)
