"""A run in several processes: what the leader hands to the others, and what they make of it."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import torch

from ganzoo.config.layers import from_dict
from ganzoo.config.run_config import RunConfig
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.device import denormals_flushed, preserved_random_state, resolve_precision
from ganzoo.engine.memory import MemoryMeter
from ganzoo.engine.ranks.following import follow
from ganzoo.engine.ranks.group import Order, Ranks
from ganzoo.engine.step import Answers, Step
from ganzoo.engine.stopping import Stop, stop_on_signals
from ganzoo.metrics.extract import Extractor
from ganzoo.runs.losses import make_losses
from ganzoo.runs.snapshots import build_extras, build_gan
from ganzoo.scoring.declared import load_features
from ganzoo.scoring.images import load_images
from ganzoo.scoring.scorer import exact_numerics
from ganzoo.scoring.spread import Task, follow_score
from ganzoo.zoo.registry import Registry


def set_off(ranks: Ranks, config: RunConfig, device: torch.device, answers: Answers) -> None:
    """The leader's: have the others make what it has made."""
    if ranks.several:
        document = {"config": config.to_dict(), "answers": dataclasses.asdict(answers)}
        ranks.send(Order.BEGIN, json.dumps(document).encode())
        ranks.meet(device, config.train.rank_timeout)


@denormals_flushed()
def follow_run(ranks: Ranks, registry: Registry, root: Path, stop: Stop) -> None:
    """The followers': take part in the run that the leader does, if it does one. `root`: of datasets and caches.
    `stop`: that of `ranks`. Signals are the caller's until training begins.

    Raises:
        UserError: images or a device that are not here.
    """
    order, length = ranks.next_order()
    if order == Order.LEAVE:
        return
    assert order == Order.BEGIN
    document: dict[str, Any] = json.loads(ranks.receive(length))
    config = from_dict(registry, document["config"])
    device = ranks.device(config.device)
    ranks.meet(device, config.train.rank_timeout)
    images = load_images(registry, config, root, "train")
    variant, objective = registry.variant(config.variant.name), registry.objective(config.objective.name)
    torch.manual_seed(config.seed)
    step = Step(
        gan=build_gan(registry, config, images.shape, images.num_classes),
        losses=make_losses(registry, objective, config.objective.settings),
        extras=build_extras(registry, config, images.shape),
        sampler=make_sampler(
            images, batch_size=config.train.batch_size, device=device, seed=config.seed, part=(ranks.rank, ranks.size)
        ),
        config=config.train,
        num_classes=images.num_classes if variant.conditional else 0,
        device=device,
        precision=resolve_precision(config.precision, device),
        plain=config.engine == "plain",
        answers=Answers(**document["answers"]),
        ranks=ranks,
    )
    gan, spec = step.state.gan, registry.features(config.features.name)

    @functools.cache
    def extractor() -> Extractor:
        with preserved_random_state(device):
            found: Extractor = load_features(registry, spec, device, config.features.settings, root)
        return found

    def score(data: bytes) -> None:
        task, ours = Task.unpacked(data), extractor()
        with preserved_random_state(device), exact_numerics(device):
            follow_score(ranks, step.averaged(), gan.z_dim, ours, task, prior=gan.prior, device=device)

    with stop_on_signals(stop), stop.held_back():
        follow(ranks, step, score, MemoryMeter(device))
