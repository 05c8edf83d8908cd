"""Throughput alone: `ganzoo bench --speed-only`, and the comparison of two such measurements."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ganzoo.config.run_config import RunConfig
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.device import denormals_flushed, resolve_device, resolve_precision, synchronize
from ganzoo.engine.replays import WARM_UP
from ganzoo.engine.step import Step
from ganzoo.errors import RunError
from ganzoo.files.progress import Working, tell, working
from ganzoo.files.reading import RECORD_BYTES, Unreadable, read_named
from ganzoo.runs.environment import describe_environment
from ganzoo.runs.records import Speed, read_record
from ganzoo.runs.snapshots import build_extras, build_gan
from ganzoo.scoring.generation import generate
from ganzoo.scoring.images import load_images
from ganzoo.zoo.registry import Registry

SCHEMA = 1
KINDS = ("train_img_per_s", "sample_img_per_s")


def fast_quarter(seconds: Sequence[float]) -> float:
    """The lower quartile of durations: other work on a machine makes some rounds longer, never shorter, and the very
    fastest is luck.
    """
    return statistics.quantiles(seconds, n=4, method="inclusive")[0] if len(seconds) > 1 else seconds[0]


def advance(step: Step, iterations: int) -> None:
    """So many iterations, in the longest replays that fit."""
    end = step.state.step + iterations
    while step.state.step < end:
        step.advance(end - step.state.step)


def warm_up(step: Step, d_steps: int) -> int:
    """Train until iterations are as fast as they will be. The first ones are eager and slow everywhere; where there are
    graphs, recording them takes longer still, and what was timed before says nothing of replays.

    Returns the number of iterations of which a timing has to be a multiple: whole rounds of the phases, `d_steps` each,
    in replays of the longest kind alone.
    """
    # Each kind of iteration as often as it must have been before it is recorded.
    advance(step, max(WARM_UP * d_steps, step.warm_up))
    advance(step, 2 * math.lcm(step.longest, d_steps))  # the first records, the second replays all
    return math.lcm(step.longest, d_steps)  # `longest` is 1 now where recording has failed


@denormals_flushed()  # as when a job trains
def measure_speed(
    registry: Registry,
    configs: Sequence[RunConfig],
    *,
    root: Path,
    rounds: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,  # tests have another
) -> dict[str, Any]:
    """Real images per second of training (batch, every phase, statistics, EMA) and generated ones of sampling.

    Every variant's turn comes once in each of `rounds` rounds, for about `seconds` each of training and of sampling, so
    that a change of the machine's load meets them all; a figure is of the lower quartile of a round's durations. On a
    device with CUDA graphs the rounds hold replays alone, warm-up and recording lie before the first.

    Returns:
        JSON-ready: "schema", "environment", "rounds", "seconds", and "rows" of "variant", "objective", "dataset",
        "batch_size", "parameters", "train_img_per_s", "sample_img_per_s", and "spread", the relative distance of the
        quartiles of the training rounds.

    Raises:
        UserError: data that cannot be had, or that do not fit.
    """
    device = resolve_device(configs[0].device)
    timed = [_Timed(registry, config, root, device, seconds, clock) for config in configs]
    with working("measuring speed", rounds, "rounds") as count:
        for _ in range(rounds):
            for one in timed:
                one.round()
            count(1)
    environment = describe_environment(device, resolve_precision(configs[0].precision, device).name, registry.plugins)
    return {
        "schema": SCHEMA,
        "environment": environment,
        "rounds": rounds,
        "seconds": seconds,
        "rows": [one.row() for one in timed],
    }


class _Timed:
    """One config: a step and a sampler that are called as often as fills `seconds`."""

    def __init__(
        self,
        registry: Registry,
        config: RunConfig,
        root: Path,
        device: torch.device,
        seconds: float,
        clock: Callable[[], float],
    ) -> None:
        tell(Working(what=f"warming up {config.variant.name}"))
        images = load_images(registry, config, root, "train")
        conditional = registry.variant(config.variant.name).conditional
        torch.manual_seed(config.seed)
        self._config, self._device, self._seconds, self._clock = config, device, seconds, clock
        self._gan = build_gan(registry, config, images.shape, images.num_classes)
        self._step = Step(
            gan=self._gan,
            losses=registry.objective(config.objective.name).load()(config.objective.settings),
            extras=build_extras(registry, config, images.shape),
            sampler=make_sampler(images, batch_size=config.train.batch_size, device=device, seed=config.seed),
            config=config.train,
            num_classes=images.num_classes if conditional else 0,
            device=device,
            precision=resolve_precision(config.precision, device),
            plain=config.engine == "plain",
        )
        self._labels = torch.arange(config.eval.batch_size) % images.num_classes if conditional else None
        self._sampled = self._step.averaged()
        self._times: dict[str, list[float]] = {kind: [] for kind in KINDS}  # seconds per image
        # A whole number of generator steps, so that no round has more of them than another.
        self._steps = self._enough(self._train, warm_up(self._step, config.train.d_steps))
        self._sample(1)
        self._batches = self._enough(self._sample, 1)

    def _enough(self, work: Callable[[int], None], unit: int) -> int:
        """How much work, a multiple of `unit`, takes the seconds of a round, going by a tenth of that at least."""
        amount = unit
        synchronize(self._device)  # deliberate: this is a timing
        while True:
            started = self._clock()
            work(amount)
            taken = self._clock() - started
            if taken >= self._seconds / 10:
                return unit * max(1, round(self._seconds / taken * amount / unit))
            amount *= 2

    def _train(self, steps: int) -> None:
        advance(self._step, steps)
        synchronize(self._device)  # deliberate: this is a timing

    def _sample(self, batches: int) -> None:
        size = self._config.eval.batch_size
        labels = None if self._labels is None else self._labels.repeat(batches)
        for _ in generate(
            self._sampled,
            self._gan.z_dim,
            size * batches,
            labels=labels,
            seed=0,
            batch_size=size,
            device=self._device,
            prior=self._gan.prior,
        ):
            pass
        synchronize(self._device)  # deliberate: this is a timing

    def round(self) -> None:
        train, evaluation = self._config.train, self._config.eval
        for kind, work, amount, images in (
            ("train_img_per_s", self._train, self._steps, self._steps * train.batch_size),
            ("sample_img_per_s", self._sample, self._batches, self._batches * evaluation.batch_size),
        ):
            started = self._clock()
            work(amount)
            self._times[kind].append((self._clock() - started) / images)

    def row(self) -> dict[str, Any]:
        config, gan = self._config, self._gan
        training = self._times["train_img_per_s"]
        low, _, high = statistics.quantiles(training, n=4, method="inclusive") if len(training) > 1 else training * 3
        return {
            "variant": config.variant.name,
            "objective": config.objective.name,
            "dataset": config.dataset.name,
            "batch_size": config.train.batch_size,
            "parameters": sum(p.numel() for net in (gan.generator, gan.discriminator) for p in net.parameters()),
            **{kind: 1 / fast_quarter(times) for kind, times in self._times.items()},
            "spread": (high - low) / low,
        }


CONDITIONS = {
    "device": ("device_name",),  # with its threads
    "precision": ("precision",),
    "torch": ("packages", "torch"),
}
"""What may explain a difference of speed besides the code: name, and where it stands in "environment"."""


def read_speed(path: Path) -> dict[str, Any]:
    """What `measure_speed` returned. Raises RunError where the file holds something else, or cannot be read."""
    try:
        document = read_record(read_named(path, RECORD_BYTES), Speed)
        if document["schema"] != SCHEMA:
            raise Unreadable(f"has schema {document['schema']} instead of {SCHEMA}")
    except (FileNotFoundError, Unreadable) as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else error
        raise RunError(f"{path} {reason}", "give the speed.json of a `ganzoo bench --speed-only`") from None
    return document


def changed_conditions(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """A line for each condition that is another: "precision: fp32 before, bf16 now"."""

    def value(document: Mapping[str, Any], keys: Sequence[str]) -> Any:
        found: Any = document["environment"]
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    pairs = {name: (value(before, keys), value(now, keys)) for name, keys in CONDITIONS.items()}
    return [f"{name}: {old} before, {new} now" for name, (old, new) in pairs.items() if old != new]


KEY = ("variant", "objective", "dataset", "batch_size", "parameters")


def compare_speed(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of both measurements, with "train_ratio" and "sample_ratio": now over before, above 1 where it is faster.

    Raises:
        RunError: they have no row in common.
    """

    def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row.get(name) for name in KEY)

    known = {key(row): row for row in before["rows"]}
    rows = [
        {
            "variant": row["variant"],
            "objective": row["objective"],
            **{kind.replace("_img_per_s", "_ratio"): row[kind] / known[key(row)][kind] for kind in KINDS},
        }
        for row in now["rows"]
        if key(row) in known
    ]
    if not rows:
        raise RunError("the two measurements have no variant, batch and size in common", "measure the same ones")
    return rows
