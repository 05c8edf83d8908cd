"""What a plugin says about itself, without importing torch.

A spec's `target` is a string `"module:attribute"`, imported on first use, so that listing the zoo stays instant. A
third-party plugin may pass the object itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Value = bool | int | float | str | None
Target = str | Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One knob: `--set variant.NAME=VALUE`. The type is that of `default` unless `type` names it."""

    name: str
    default: Value
    doc: str  # one sentence with the unit, and what None means
    type: type | None = None  # needed only where the default is None
    choices: tuple[Value, ...] | None = None  # None: anything of the type
    minimum: float | None = None  # None: no lower bound
    maximum: float | None = None  # None: no upper bound
    optional: bool = False  # whether None may be given; implied by a default of None


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What every spec has. `name` is lower case with hyphens, as typed on the command line."""

    name: str
    target: Target
    summary: str = ""  # one line for `ganzoo list`
    paper: str = ""  # "Authors, title, year, arXiv number" or where the method comes from
    settings: tuple[Setting, ...] = ()

    def load(self) -> Callable[..., Any]:
        """Import and return the target. Import errors are the plugin's and keep their traceback."""
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        loaded: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        return loaded


@dataclass(frozen=True, kw_only=True)
class Variant(Spec):
    """A pair of networks. Target: `(config: VariantConfig, shape: (C, H, W), num_classes: int) -> GAN`.

    `num_classes` is 0 for unlabelled data.
    """

    conditional: bool = False  # True: needs labels
    sizes: tuple[int, ...] | None = None  # square image sizes it can make; None: any
    channels: tuple[int, ...] = (1, 3)
    objective: str = "non-saturating"  # default objective
    per_sample_critic: bool = True  # False: cannot build D without batch norm, so no gradient penalty
    batch_dependent: bool = False  # True: D looks at the whole batch by other means than batch norm; always two passes
    defaults: Mapping[str, Value] = field(default_factory=dict)  # e.g. {"train.g_lr": 2e-4}: its paper's recipe
    # What its author chose for a preset, over `defaults`: {"laptop": {"variant.channels": 16}}; over that, what for a
    # family of datasets as well: {"laptop@rgb-64": {...}}, see ganzoo/config/families.py.
    presets: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    judges_images: bool = (
        True  # False: D judges images with something else, so nothing is to be learned from it without
    )
    gives: tuple[str, ...] = ()  # what D returns beside "logits": "features", "classes", "energy", ...
    regularizers: tuple[str, ...] = ()  # of its paper, unless the user names others
    augmentations: tuple[str, ...] = ()
    progress: bool = False  # True: a term of its reads batch.progress, so the length of a run is part of what it is


@dataclass(frozen=True, kw_only=True)
class Objective(Spec):
    """A pair of losses. Target: `(config: Mapping) -> ganzoo.objectives.Losses`."""

    per_sample_gradients: bool = False  # True: penalises dD/dx per sample, so D must not mix samples (no batch norm)
    defaults: Mapping[str, Value] = field(default_factory=dict)  # e.g. {"train.d_steps": 5}
    presets: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)  # as a variant's, and over them
    needs: tuple[str, ...] = ()  # "labels", "augmentation", "images" (a D that judges them alone), or what D gives
    progress: bool = False  # as a variant's


@dataclass(frozen=True, kw_only=True)
class Regularizer(Spec):
    """Further losses, for any variant and objective. Target: `(config: Mapping) -> Term`, or a sequence of them.

    The settings `weight` and `every` exist for every regularizer, and multiply those of its terms.
    """

    weight: float = 1.0  # default of the setting
    every: int = 1  # default of the setting: in each every-th update, and then times `every`
    needs: tuple[str, ...] = ()  # as an objective's
    per_sample_gradients: bool = False  # as an objective's
    progress: bool = False  # as a variant's


@dataclass(frozen=True, kw_only=True)
class Augmentation(Spec):
    """What D sees instead of images, real and generated alike. Target: `(config: Mapping, shape: (C, H, W)) ->
    nn.Module`: float32 `[N,C,H,W]` in [-1, 1] -> the same shape, each image from itself alone, twice differentiable,
    randomness from torch's generator of the images' device.

    One that adapts keeps what it knows in buffers, and has a method `update(logits)`, called under `torch.no_grad()`
    after each update of D with what D said of real images, float32 `[N]`; it writes to the buffers in place.
    """


@dataclass(frozen=True, kw_only=True)
class Dataset(Spec):
    """Images. Target: `(root: Path, split: "train" | "test", download: bool, **settings) -> ganzoo.data.Images`.

    With `takes_path`, the name on the command line is `NAME:PATH` and the target gets `path=` as well. The settings
    `size`, `color` and `fit` exist for every dataset; one that handles them itself has parameters of these names.
    """

    takes_path: bool = False
    labelled: bool | None = True  # None: only known once loaded
    size: int | None = None  # natural square size in pixels; None: only known once loaded
    channels: int | None = None
    num_classes: int | None = None  # None: only known once loaded
    features: str = "efficientnet-lite0"  # default feature network for scoring
    preset: str = "standard"  # default preset, see ganzoo/config/presets.py
    family: str | None = None  # whose recipes hold, see ganzoo/config/families.py; None: by channels and size


@dataclass(frozen=True, kw_only=True)
class Features(Spec):
    """A frozen network. Target: `(device, **settings) -> callable`, uint8 `[N,C,H,W]` -> dict of float32 tensors:
    `"pool"` `[N,dim]` and, when it is a classifier, `"logits"` `[N,K]`.
    """

    dim: int = 0  # D of "pool"
    resizer: str = "none"  # how images are brought to the network's size; part of the protocol
    weights_sha256: str | None = None  # None: read from the loaded callable's `weights_sha256`
    classes_of: str | None = None  # the dataset whose class ids the logits are; None: not a class-aligned classifier
    packages: tuple[str, ...] = ()  # modules of an extra that it imports: looked for before images are read
    install: str = ""  # the command that brings them


@dataclass(frozen=True, kw_only=True)
class Metric(Spec):
    """A number. Target: `(**settings) -> object` with `update(features, labels)` and `compute(reference) -> dict`."""

    keys: tuple[str, ...] = ()  # names of the numbers it computes
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    # Of "pool", "logits", "labels", "pixels", "test" (a test split), "fresh" (images the test split is not the measure
    # of), "classes" (logits of the dataset's own classes), "full-rank" (more images than features).
    needs: tuple[str, ...] = ("pool",)


@dataclass(frozen=True, kw_only=True)
class Callback(Spec):
    """An observer. Target: `(run: RunDirectory, config: RunConfig) -> ganzoo.engine.loop.Observer`."""


@dataclass(frozen=True, kw_only=True)
class Executor(Spec):
    """What runs the jobs of a bench on machines elsewhere. Target: `(settings: Mapping, out: Path) ->
    ganzoo.bench.clusters.Cluster`, where `out` is the bench's folder.
    """


@dataclass(frozen=True, kw_only=True)
class Model(Spec):
    """A trained generator that comes with a plugin. `name` is VARIANT@DATASET; the target is the path of its file, a
    snapshot as `ganzoo export` writes it. `ganzoo.models_in(FOLDER)` makes them of what lies in a folder.
    """

    target: str
    sha256: str  # of the file
    size: int = 0  # bytes of the file
    kimg: float = 0.0  # thousands of real images that it was trained on
    parameters: int = 0  # of the generator
    values: Mapping[str, float] = field(default_factory=dict)  # scores of the weights in the file, as `ganzoo eval`'s
    protocol: str = ""  # id of their protocol
    command: str = ""  # that trained it

    @property
    def variant(self) -> str:
        return self.name.partition("@")[0]

    @property
    def dataset(self) -> str:
        return self.name.partition("@")[2]


KINDS: dict[str, type[Spec]] = {
    "variants": Variant,
    "objectives": Objective,
    "regularizers": Regularizer,
    "augmentations": Augmentation,
    "datasets": Dataset,
    "features": Features,
    "metrics": Metric,
    "callbacks": Callback,
    "models": Model,
    "executors": Executor,
}
