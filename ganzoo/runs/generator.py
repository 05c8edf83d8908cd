"""`ganzoo.load`: a trained generator, ready to be called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from ganzoo.config.options import Files, known_arguments, load_zoo, names_of, number_of
from ganzoo.config.places import as_source
from ganzoo.errors import SettingError
from ganzoo.files.progress import Listen, listening, note
from ganzoo.gan import named
from ganzoo.runs.grid import make_grid, to_image
from ganzoo.runs.sampling import Labels, Source, open_source, plan_samples
from ganzoo.runs.sources import find_source


@dataclass(frozen=True, kw_only=True)
class Generator:
    """The averaged generator of a snapshot, in eval mode, without gradients."""

    module: nn.Module
    """The network itself: `(z, labels)` -> images, and its weights: `module.state_dict()`."""
    path: Path
    """Of the snapshot."""
    device: torch.device
    z_dim: int
    """Length of z."""
    shape: tuple[int, int, int]
    """(C, H, W) of an image."""
    conditional: bool
    """Whether it takes labels."""
    num_classes: int
    """Of the labels, and of the training images: unconditional generators may have been trained on labelled ones."""
    class_names: tuple[str, ...] | None
    """Of the classes, in order; None: they have none."""
    kimg: float
    """Thousands of real images that it was trained on."""
    config: Mapping[str, Any]
    """Every setting of its run."""
    model: str | None
    """VARIANT@DATASET, where it is a model that a plugin brings; None: it is a run's, or a file."""
    _source: Source

    def __call__(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """z float32 `[N, z_dim]` of the prior, see `z`; labels int64 `[N]`, None where it takes none -> images float
        `[N,C,H,W]` in [-1, 1] on `device`.

        Raises:
            SettingError: labels are missing, not wanted, or no classes; tensors of other shapes.
        """
        if (labels is not None) != self.conditional:
            name = self.model or self.path
            what = "needs labels" if self.conditional else "takes no labels"
            raise SettingError(
                f"the generator of {name} {what}",
                "see its `conditional`, and give int64 labels [N] or None",
            )
        if not isinstance(z, Tensor) or z.shape[1:] != (self.z_dim,):
            found = list(z.shape) if isinstance(z, Tensor) else f"a {type(z).__name__}"
            raise SettingError(f"z is {found}, not a tensor [N, {self.z_dim}]", "make one by generator.z(n, seed=0)")
        if labels is not None:
            if labels.shape != z.shape[:1] or labels.dtype != torch.int64:
                raise SettingError(
                    f"labels are {labels.dtype} {list(labels.shape)}", f"give int64 [{len(z)}], one for each z"
                )
            if not bool(((labels >= 0) & (labels < self.num_classes)).all()):  # on a GPU that would end the process
                raise SettingError("labels hold what is no class", f"classes are 0 to {self.num_classes - 1}")
            labels = labels.to(self.device)
        return named(self.module(z.to(self.device), labels), "images")["images"]

    def z(self, n: int, *, seed: int = 0) -> Tensor:
        """float32 `[n, z_dim]` on the CPU: what images 0 to n - 1 of `seed` are made of."""
        return plan_samples(self._source, count=_count(n), seed=_seed(seed)).inputs(torch.arange(n))[0]

    def sample(self, n: int, labels: Labels = None, seed: int = 0, *, truncation: float | None = None) -> Tensor:
        """uint8 `[n,C,H,W]` on the CPU: image i is the one that `ganzoo sample --seed SEED` makes as its i-th, bit for
        bit, whatever `n` is. `labels`: classes by number or name, which images take in turn; None: all, at most 20.
        `truncation`: for generators that know how.

        Raises:
            SettingError: no such class, or labels or a truncation for a generator that takes none.
            UserError: the images hold NaN or infinity.
        """
        samples = plan_samples(self._source, count=_count(n), labels=labels, seed=_seed(seed), truncation=truncation)
        return torch.cat([pixels for pixels, _ in samples.blocks()])

    def images(
        self, n: int, labels: Labels = None, seed: int = 0, *, truncation: float | None = None
    ) -> list[Image.Image]:
        """As `sample`: `n` images of their own size, grey ("L") or RGB."""
        made = self.sample(n, labels, seed, truncation=truncation)
        return [to_image(pixels, width=self.shape[2]) for pixels in made]

    def grid(
        self,
        n: int | None = None,
        labels: Labels = None,
        seed: int = 0,
        *,
        interpolate: tuple[int, int] | None = None,
        steps: int | None = None,
        codes: Mapping[int, float] | None = None,
        sweep: int | None = None,
        truncation: float | None = None,
    ) -> Image.Image:
        """What `ganzoo sample` writes as a PNG: one RGB image of many, enlarged for the eye; conditional: a column for
        each class. As `sample`, and:

        Args:
            n: images, None: 64, or 8 per class; with `interpolate`, `codes` or `sweep`: rows, None: 8.
            interpolate: two seeds; a row leads from an image of one to one of the other.
            steps: images of a row, at least 2; None: 8.
            codes: number of a structured code, from 1 -> its value in all images.
            sweep: the code that takes its values along each row; None: the first that is not fixed, if there are codes.
        """
        samples = plan_samples(
            self._source,
            count=None if n is None else _count(n),
            labels=labels,
            seed=_seed(seed),
            interpolate=interpolate,
            steps=steps,
            codes=codes,
            sweep=sweep,
            truncation=truncation,
        )
        return to_image(make_grid(torch.cat([pixels for pixels, _ in samples.blocks()]), samples.columns))

    def __repr__(self) -> str:
        name = self.model or self.path
        size = "x".join(map(str, self.shape))
        classes = f", {self.num_classes} classes" if self.conditional else ""
        return f"<Generator {name}: {self.config['variant']['name']}, z {self.z_dim} -> {size}{classes}>"


@known_arguments
def load(
    source: str | os.PathLike[str],
    snapshot: float | None = None,
    *,
    dataset: str | None = None,
    device: str | torch.device = "auto",
    plugins: Files = None,
    listen: Listen | None = None,
) -> Generator:
    """The generator of a run, or of a model that comes with a plugin.

    Example:
        ganzoo.load("dcgan").images(1, seed=7)[0].save("one.png")

    Args:
        source: a `Run`, a run directory, a snapshot (.safetensors), a model VARIANT@DATASET, or the name of a variant:
            its newest run under runs/, else its model. The generator's `model` and `path` say what was taken.
        snapshot: kimg; the run's snapshot nearest to it; None: the last.
        dataset: of a variant's runs and models only those on it; None: any run, a model on digits, else the only one.
        device: auto, cpu, cuda, cuda:1 or mps.
        plugins: Python files that register the variant, where it is not installed.
        listen: told of events: plugins that are left out, a snapshot of another moment than `snapshot` (`Note`).

    Raises:
        UserError: no such run, a damaged snapshot, a variant that is not there.
    """
    with listening(listen):
        registry = load_zoo(plugins, note)
        kimg = None if snapshot is None else number_of(snapshot, "snapshot", float, minimum=0)
        meant = find_source(registry, as_source(source, "source"), kimg, names_of(dataset, "dataset"))
    found = open_source(registry, meant, device=str(device))
    loaded = found.snapshot
    return Generator(
        module=loaded.generator,
        path=found.file,
        device=found.device,
        z_dim=loaded.z_dim,
        shape=loaded.shape,
        conditional=found.conditional,
        num_classes=loaded.num_classes,
        class_names=loaded.class_names,
        kimg=loaded.images / 1000,
        config=loaded.config.to_dict(),
        model=None if meant.model is None else meant.model.name,
        _source=found,
    )


def _count(n: Any) -> int:
    return int(number_of(n, "n", int, minimum=1))


def _seed(seed: Any) -> int:
    return int(number_of(seed, "seed", int))
