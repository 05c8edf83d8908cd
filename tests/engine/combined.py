"""Steps of combinations of the zoo on small random images: everything that contract 2 has names for, at least once."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from unittest import mock

import torch
from pretended import Pretended
from torch import Tensor

from ganzoo.config.layers import build_config
from ganzoo.data import make_images, make_sampler
from ganzoo.engine.device import Precision
from ganzoo.engine.ranks.group import ALONE, Ranks
from ganzoo.engine.replays import ITERATIONS_PER_REPLAY
from ganzoo.engine.step import Step
from ganzoo.gan import Term
from ganzoo.runs.snapshots import build_extras, build_gan
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
FP32 = Precision(name="fp32", device_type="cpu")
REGISTRY = Registry.load(environ={})
REGULARIZERS = [spec.name for spec in REGISTRY.all("regularizers")]

NARROW = {"width": 4, "channels": 4, "mixed": 4, "resolution": 32}
"""Setting of a variant -> what makes its networks small."""

COMBINATIONS: dict[str, dict[str, Any]] = {
    **{name: {"regularize": name, "sets": [f"regularizer.{name}.every=2"]} for name in REGULARIZERS},
    "top-k": {"regularize": "top-k"},
    **{name: {"augment": name} for name in ("flip", "instance-noise", "diffaug", "ada")},
    **{name: {"variant": name} for name in ("acgan", "infogan", "began", "bigan")},
    "everything": {
        "variant": "acgan",
        "regularize": "r1,lecam,feature-matching,zcr",
        "augment": "ada,flip",
        "objective": "hinge",
        "sets": ["regularizer.r1.every=4", "train.d_steps=2"],
    },
    "linear": {"variant": "gan", "sets": ["train.schedule=linear", "train.warmup_kimg=0.05"]},
    "cosine": {
        "variant": "gan",
        "sets": ["train.g_schedule=cosine", "train.optimizer=adamw", "train.weight_decay=0.1"],
    },
    "sgd": {"variant": "gan", "sets": ["train.optimizer=sgd", "train.momentum=0.9", "train.d_schedule=linear"]},
    "rmsprop": {"variant": "gan", "sets": ["train.optimizer=rmsprop", "train.momentum=0.5"]},
    "relativistic": {"variant": "gan", "objective": "relativistic-average"},
}
for _name in ("cr", "bcr"):
    COMBINATIONS[_name]["augment"] = "diffaug"


def step_of(
    variant: str = "dcgan",
    sets: list[str] | None = None,
    backend: Pretended | Literal["auto"] | None = None,
    *,
    plain: bool = False,
    per_replay: int = ITERATIONS_PER_REPLAY,
    colors: int = 1,
    terms: Sequence[Term] = (),
    fields: Mapping[str, Any] | None = None,  # of the GAN
    extras: Mapping[str, Any] | None = None,  # fields of `Extras`
    batch_size: int = 4,
    ranks: Ranks = ALONE,
    numbers: Precision = FP32,
    **options: Any,
) -> Step:
    spec = REGISTRY.variant(variant)
    sets = [*(sets or []), f"train.batch_size={batch_size}", "train.kimg=0.2", "train.ema_kimg=0.05"]
    sets += [f"variant.{one.name}={NARROW[one.name]}" for one in spec.settings if one.name in NARROW]
    config = build_config(REGISTRY, variant=variant, sets=sets, **options)
    random = torch.Generator().manual_seed(5)
    side = 16 if spec.sizes is None or 16 in spec.sizes else 28
    pixels = torch.randint(0, 256, (40, colors, side, side), dtype=torch.uint8, generator=random)
    images = make_images(pixels, torch.randint(0, 3, (40,), generator=random))
    torch.manual_seed(0)
    gan = build_gan(REGISTRY, config, images.shape, images.num_classes)
    step = Step(
        gan=dataclasses.replace(gan, terms=[*gan.terms, *terms], **(fields or {})),
        losses=REGISTRY.objective(config.objective.name).load()(config.objective.settings),
        extras=dataclasses.replace(build_extras(REGISTRY, config, images.shape), **(extras or {})),
        sampler=make_sampler(images, batch_size=batch_size, device=CPU, seed=0, part=(ranks.rank, ranks.size)),
        config=config.train,
        num_classes=images.num_classes if spec.conditional else 0,
        device=CPU,
        precision=numbers,
        graphs=backend,
        plain=plain,
        per_replay=per_replay,
        ranks=ranks,
    )
    if isinstance(backend, Pretended):
        backend.state, backend.statistics = step.state, step.statistics
    torch.manual_seed(1)
    return step


def everything(step: Step) -> dict[str, Tensor]:
    modules = {
        "g": step.state.gan.generator,
        "d": step.state.gan.discriminator,
        "ema": step.state.ema,
        **step.state.kept,
    }
    return {f"{name}.{key}": value.clone() for name, one in modules.items() for key, value in one.state_dict().items()}


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert [name for name, value in ours.items() if not torch.equal(value, theirs[name])] == []


@contextlib.contextmanager
def no_waiting() -> Iterator[None]:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError("the host waits for the device")

    with contextlib.ExitStack() as stack:
        for name in ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "nonzero"):
            stack.enter_context(mock.patch.object(Tensor, name, refuse))
        yield
