"""RunConfig: everything that decides what a run computes. Frozen, complete, JSON in and out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.config.settings import knob
from ganzoo.errors import SettingError
from ganzoo.files.text import clean
from ganzoo.zoo.specs import Value

SCHEMA = 1
"""Version of config.json. A file with another number is refused."""

PRECISIONS = ("auto", "fp32", "bf16")
ENGINES = ("fast", "plain")
SCHEDULES = ("constant", "linear", "cosine")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A registered name and all of its settings."""

    name: str
    settings: Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class Train:
    """How long and how. An image is one real image shown to D; 1 kimg is 1000 of them."""

    kimg: float | None = knob(
        500.0,
        "length of the run in thousands of real images; none: `minutes`",
        minimum=0.001,
        type=float,
        optional=True,
    )
    minutes: float | None = knob(
        None, "length of the run in minutes of training, scoring not counted; none: no limit", minimum=0.001, type=float
    )
    batch_size: int = knob(64, "real images per step", minimum=2)
    d_steps: int = knob(1, "discriminator steps per generator step, each with a fresh batch", minimum=1)
    optimizer: str = knob(
        "adam", "adam, adamw, rmsprop or sgd, for all networks", choices=("adam", "adamw", "rmsprop", "sgd")
    )
    g_lr: float = knob(2e-4, "learning rate of G", minimum=0.0)
    d_lr: float = knob(2e-4, "learning rate of D", minimum=0.0)
    beta1: float = knob(0.5, "Adam's first moment decay", minimum=0.0, maximum=0.9999)
    beta2: float = knob(0.999, "Adam's second moment decay (RMSprop's alpha)", minimum=0.0, maximum=0.999999)
    eps: float = knob(1e-8, "added to the root of the second moment (Adam, RMSprop)", minimum=1e-16)
    momentum: float = knob(0.0, "momentum of SGD and RMSprop", minimum=0.0, maximum=0.9999)
    weight_decay: float = knob(0.0, "weight decay: decoupled in AdamW, else added to the gradient", minimum=0.0)
    schedule: str = knob(
        "constant", "learning rates over the run: constant, linear (to 0) or cosine (to 0)", choices=SCHEDULES
    )
    g_schedule: str | None = knob(None, "G's schedule; none: train.schedule", type=str, choices=(*SCHEDULES, None))
    d_schedule: str | None = knob(None, "D's schedule; none: train.schedule", type=str, choices=(*SCHEDULES, None))
    decay_from: float = knob(
        0.0, "share of the budget after which a linear or cosine schedule begins to fall", minimum=0.0, maximum=1.0
    )
    warmup_kimg: float = knob(0.0, "kimg over which learning rates rise from 0; 0: none", minimum=0.0)
    augment_in: str = knob(
        "all",
        "where D sees augmented images: all (every call), or terms (only where a regularizer asks for it, as in the "
        "papers on consistency regularisation)",
        choices=("all", "terms"),
    )
    ema_kimg: float = knob(10.0, "half-life of the averaged G in kimg; 0: score the raw G", minimum=0.0)
    ema_rampup: float = knob(
        0.05, "the half-life is at most this share of the images seen so far", minimum=0.0, maximum=1.0
    )
    tick_kimg: float = knob(1.0, "kimg between two readings of the statistics, at least", minimum=0.001)
    tick_seconds: float = knob(
        0.25, "seconds of training between two readings of the statistics, at least; 0: by images alone", minimum=0.0
    )
    until: str | None = knob(
        None, "stop at the first scored snapshot this good, e.g. fid=10; none: train to the end", type=str
    )
    snapshots: int = knob(
        8,
        "snapshots, evenly spaced over the run, beside the one before training; a run that is made longer keeps their "
        "interval",
        minimum=1,
    )
    pictures: int = knob(
        8,
        "pictures of the fixed noise while the images seen double, beside those of snapshots: close together at the "
        "start; 0: none",
        minimum=0,
        maximum=1000,
    )
    sync_batch_norm: bool = knob(
        True,
        "where a run is done by several processes, batch norm over the batch of all; false: each over its own part, "
        "which saves two messages per layer and changes the numbers",
    )
    rank_timeout: float = knob(
        300.0,
        "where a run is done by several processes, seconds that one waits for another within a step before it ends",
        minimum=1.0,
    )
    scores: str = knob(
        "every",
        "which snapshots are scored: none; last; every N, the first and the last always; every: by eval.every",
    )
    keep: str = knob(
        "last,best,state",
        "what stays of a finished run beside its numbers and pictures: all; or last, its last snapshot, and as wanted "
        "best, that of lowest FID, and state, by which it can be made longer",
    )


@dataclass(frozen=True, kw_only=True)
class Eval:
    """How snapshots are scored. All of it is part of the protocol id, except `every` and `batch_size`."""

    metrics: str = knob(
        "fid,fid-infinity,is,kid,prdc,conditional,class-fid,class-recall,classes,memorisation",
        "metrics, comma separated",
    )
    num_images: int = knob(10_000, "generated images per score", minimum=2)
    num_reference: int | None = knob(
        None, "real images to compare with, drawn once at random; none: all of the train split", minimum=2, type=int
    )
    every: int = knob(4, "score every Nth snapshot; the first and the last always are; see train.scores", minimum=1)
    batch_size: int = knob(250, "images per batch while features are extracted", minimum=1)
    held_out: float = knob(
        0.0,
        "share of the training images that is not trained on, and that scores are computed with in place of all: for "
        "choosing settings; neither the test split nor what is trained on is looked at. 0: none",
        minimum=0.0,
        maximum=0.5,
    )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    variant: Choice
    objective: Choice
    dataset: Choice
    features: Choice
    train: Train
    eval: Eval
    metrics: Mapping[str, Value]  # "NAME.SETTING" of the metrics in eval.metrics
    regularizers: tuple[Choice, ...] = ()  # in order of their names, each once
    augmentations: tuple[Choice, ...] = ()  # likewise, which is the order in which they are applied
    seed: int = 0
    precision: str = "auto"  # of PRECISIONS; env.json says what auto became
    engine: str = "fast"  # "plain": eager, torch's own convolutions and layout; what the fast paths are tested against
    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1", "mps"
    callbacks: tuple[str, ...] = ()
    init: str | None = None  # run directory or snapshot whose weights training starts from; None: fresh ones
    name: str | None = None  # whose run it is: two people's runs of one seed are two runs; None: nobody's
    # Whether something goes by how far the run has come: then its length is part of what it is. Known from the rest.
    fixed_length: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, and accepted by `--config`."""
        choices = {
            key: {"name": choice.name, **choice.settings}
            for key in ("variant", "objective", "dataset", "features")
            for choice in [getattr(self, key)]
        }
        return {
            "schema": SCHEMA,
            **choices,
            **{
                kind: {choice.name: dict(choice.settings) for choice in chosen}
                for kind, chosen in (("regularizers", self.regularizers), ("augmentations", self.augmentations))
            },  # none of them is said, too: a variant may have its own
            "train": dataclasses.asdict(self.train),
            "eval": dataclasses.asdict(self.eval),
            "metrics": dict(self.metrics),
            "seed": self.seed,
            "precision": self.precision,
            "engine": self.engine,
            "device": self.device,
            "callbacks": list(self.callbacks),
            **({} if self.init is None else {"init": self.init}),
            **({} if self.name is None else {"name": self.name}),
        }

    def identity(self) -> dict[str, Any]:
        """What was asked for, as flat `section.key` pairs, less what tells only where: two runs of equal identity,
        images and initial weights compute the same. Where the images lie is not part of it: their digest is compared.
        """
        return {
            key: value
            for key, value in flatten(self.to_dict()).items()
            if key not in PLACES and not (key in LATER and value == LATER[key])
        }

    def training_identity(self) -> dict[str, Any]:
        """Of the settings, what decides the weights after a number of images: neither the length of the run nor how it
        is scored, nor where anything is.
        """
        other = ("schema", "eval.", "features.", "metrics.")
        flat = flatten(self.to_dict())
        free = (*PLACES, "name", *self.budget())
        return {k: v for k, v in flat.items() if k not in free and not k.startswith(other)}

    def budget(self) -> dict[str, Any]:
        """How long the run is, and what is kept and scored of it: what may be another when a run is continued."""
        keys = (key for key in BUDGET if not (self.fixed_length and key in ("train.kimg", "train.minutes")))
        return {key: getattr(self.train, key.removeprefix("train.")) for key in keys}

    def is_scored(self, index: int, last: bool) -> bool:
        """Whether snapshot number `index` (0: untrained) is scored; `last`: it ends the run."""
        every = score_interval(self.train.scores, self.eval.every)
        return every is not None and (last or (every > 0 and index % every == 0))

    @property
    def metric_names(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.eval.metrics.split(",") if name.strip())


PLACES = frozenset(
    {
        *("device", "callbacks", "init", "dataset.path", "features.weights", "eval.batch_size"),
        *("train.tick_seconds", "train.pictures", "train.sync_batch_norm", "train.rank_timeout", "train.keep"),
    }
)
"""Settings that say where, how fast or how often it is told, not what: images and weights are known by their digests.
In how many processes a run is done is none of what it is, and so is not how they go about it, nor which files stay.
"""

BUDGET = ("train.kimg", "train.minutes", "train.until", "train.snapshots", "train.scores")
"""Settings that a run may be continued with other values of."""

LATER = {
    "engine": "fast",
    "train.scores": "every",
    "dataset.fit": "crop",
    "dataset.background": "black",
    "dataset.white": None,
    "train.eps": 1e-8,
    "train.momentum": 0.0,
    "train.weight_decay": 0.0,
    "train.schedule": "constant",
    "train.g_schedule": None,
    "train.d_schedule": None,
    "train.decay_from": 0.0,
    "train.warmup_kimg": 0.0,
    "train.augment_in": "all",
    "eval.held_out": 0.0,
}
"""Settings that earlier versions did not have, with what they did: runs of before go on."""


def moves(train: Train) -> bool:
    """Whether learning rates go by how far the run has come. A warm-up does not: it goes by images."""
    return any((own or train.schedule) != "constant" for own in (train.g_schedule, train.d_schedule))


def score_interval(scores: str, every: int) -> int | None:
    """`train.scores` as a number: every Nth snapshot, 0 for the last one alone, None for none. `every`: eval.every.

    Raises:
        SettingError: it is none of none, last, every, every N.
    """
    word, _, number = scores.strip().lower().partition(" ")
    number = number.strip()
    if word in ("none", "last") and not number:
        return None if word == "none" else 0
    if word == "every" and not number:
        return every
    if word == "every" and number.isdecimal() and 0 < int(number) < 10**6:
        return int(number)
    raise SettingError(f"train.scores={scores!r} names no snapshots", "say none, last, every, or every N: 'every 2'")


def dataset_label(name: str, settings: Mapping[str, Any]) -> str:
    """ "digits", or "folder:faces" where the dataset is at a path."""
    path = settings.get("path")
    return clean(f"{name}:{Path(str(path)).name}" if path else name)


def flatten(document: Mapping[str, Any]) -> dict[str, Any]:
    """{"train": {"kimg": 5}, "seed": 0} -> {"train.kimg": 5, "seed": 0}, however deep."""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, (dict, Mapping)):  # what nearly all are is told ten times as fast
            flat.update({f"{key}.{inner}": inner_value for inner, inner_value in flatten(value).items()})
        else:
            flat[key] = value
    return flat


def difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Lines "key: theirs -> ours" where two flat documents differ."""
    return [
        f"{key}: {theirs.get(key)} -> {ours.get(key)}"
        for key in sorted({*ours, *theirs})
        if ours.get(key) != theirs.get(key)
    ]
