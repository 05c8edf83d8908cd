"""Which file is meant by what a user names: a snapshot of a run, or a model that a plugin brings. Torch-free."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from ganzoo.errors import RunError, SettingError
from ganzoo.files.progress import note
from ganzoo.runs.directory import RunDirectory, kimg_of, lacking
from ganzoo.runs.find import RUNS, did_you_mean, find_run, is_path, newest_run, runs_like, variants_of
from ganzoo.zoo.models import checked_file, find_model, is_model_name, listed, model_of
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Model
from ganzoo.zoo.validation import near

NEAR, ROUNDED = 0.05, 0.1
"""How far a snapshot may be from what was asked for to be of it: as a share, and in kimg, as batches round it."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file of a generator's weights."""

    file: Path
    place: Path  # the run directory, or the folder of the file
    model: Model | None = None  # None: it is a run's, or a file that was named
    chosen: bool = False  # whether it was chosen among runs and models, by the name of a variant

    @property
    def name(self) -> str:
        return str(self.place) if self.model is None else self.model.name

    @property
    def pictures(self) -> Path:
        """Where a grid of its images is written unless something else is said: beside a run, never into a package."""
        return self.place / "samples.png" if self.model is None else Path(f"{self.model.name}.png")

    @property
    def line(self) -> str | None:
        """Which was taken, where the name alone does not tell."""
        if self.model is not None:
            fid = self.model.values.get("fid")
            score = "" if fid is None else f", FID {fid:.2f} ({self.model.protocol})"
            why = f" (there is no such run under {RUNS}/)" if self.chosen else ""
            return f"model: {self.model.name}{why}, {self.model.kimg:g} kimg{score}"
        return f"run: {self.place}, {kimg_of(self.file):g} kimg" if self.chosen else None


def snapshot_of(run: RunDirectory, kimg: float | None) -> Path:
    """The last snapshot, or the one nearest to `kimg`; one that is far from it is noted.

    Raises:
        RunError: there is none.
    """
    snapshots = run.snapshots()
    if not snapshots:
        raise lacking(run, "snapshot")
    if kimg is None:
        return snapshots[-1]
    nearest = min(snapshots, key=lambda path: abs(kimg_of(path) - kimg))
    if abs(kimg_of(nearest) - kimg) > max(NEAR * kimg, ROUNDED):
        note(f"there is no snapshot of {kimg:g} kimg: this is the nearest that was kept, of {kimg_of(nearest):g}")
    return nearest


def find_source(registry: Registry, source: str, kimg: float | None = None, dataset: str | None = None) -> Found:
    """Of a run directory or a .safetensors file, or of a model VARIANT@DATASET; or of the name of a variant: its newest
    run under runs/, else its model. `kimg`: the run's snapshot nearest to it; None: the last. `dataset`: only runs and
    models of it; None: of runs any, of models digits, else the only one. A snapshot that is far from `kimg` is noted.

    Raises:
        UserError: nothing of the kind, or a `kimg` or `dataset` where there is nothing to choose from.
    """
    path = Path(source)
    if kimg is not None and not 0 <= kimg < math.inf:
        raise SettingError(f"--snapshot {kimg:g} is no number of kimg", "say one, such as --snapshot 16")
    if dataset is not None and (is_path(source) or is_model_name(source)):
        raise SettingError(
            f"--dataset chooses among the runs and models of a variant, and {source} is one alone",
            "leave --dataset out",
        )
    if path.suffix == ".safetensors" and os.path.isfile(path):
        if kimg is not None:
            raise SettingError("--snapshot chooses one of a run's, and this is a file", "leave --snapshot out")
        return Found(file=path, place=path.parent.parent if path.parent.name == "snapshots" else path.parent)
    if is_model_name(source):
        return _of_model(registry, find_model(registry, source), kimg)
    if is_path(source):
        run = find_run(source)
        return Found(file=snapshot_of(run, kimg), place=run.path)
    newest = newest_run(source, dataset)
    if newest is not None:
        return Found(file=snapshot_of(newest, kimg), place=newest.path, chosen=True)
    model = model_of(registry, source, dataset)
    if model is not None:
        return _of_model(registry, model, kimg, chosen=True)
    raise _nothing(registry, source, dataset)


def _of_model(registry: Registry, model: Model, kimg: float | None, chosen: bool = False) -> Found:
    if kimg is not None:
        raise SettingError(
            f"--snapshot chooses one of a run's, and the model {model.name} is one alone",
            f"leave --snapshot out, or train a run: ganzoo train {model.variant}",
        )
    file = checked_file(registry, model)
    return Found(file=file, place=file.parent, model=model, chosen=chosen)


def _nothing(registry: Registry, name: str, dataset: str | None) -> RunError:
    models = [model.name for model in registry.models() if model.variant == name]
    there = variants_of()
    if registry.has("variant", name):
        on = "" if dataset is None else f" on {dataset}"
        cause = f"there is neither a run of a variant of that name{on} under {RUNS}/ nor a model"
        cure = f"train one: ganzoo train {name}" + ("" if dataset is None else f" --dataset {dataset}")
        cure += f"; models of it: {listed(models)}" if models else "; models: ganzoo list models"
    elif alike := runs_like(name):
        return RunError(f"'{name}' is no run directory, and no variant is called so", did_you_mean(alike))
    else:
        cause = "no variant is called so"
        known = near(name, [spec.name for spec in registry.variants()])
        cure = f"{known}{'' if known.endswith('?') else '.'} To train one: ganzoo train VARIANT"
    cure += f"; there are runs of {listed(there)}" if there else ""
    return RunError(f"'{name}' is no run directory, and {cause}", cure)
