"""The training loop, top to bottom. Everything that is not a step happens at ticks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from ganzoo.config.run_config import Train
from ganzoo.config.target import Target
from ganzoo.data.sampler import Sampler
from ganzoo.engine.cuda.concurrent import ALONE, Turn
from ganzoo.engine.device import Precision, preserved_random_state, synchronize
from ganzoo.engine.energy import EnergyMeter
from ganzoo.engine.game import Extras
from ganzoo.engine.journal import Journal
from ganzoo.engine.ledger import Ledger
from ganzoo.engine.pace import Pace, marks
from ganzoo.engine.schedule import Budget, Schedule
from ganzoo.engine.step import NO_EXTRAS, Answers, Step
from ganzoo.engine.stopping import NEVER, Stop
from ganzoo.gan import GAN
from ganzoo.objectives import Losses

SAVE_SECONDS = 60.0
"""Seconds of training between two savings of the state, beside the one at each snapshot."""

COLLAPSE_STD = 0.005
"""Mean standard deviation over a batch, in units of [-1, 1], below which all generated images are the same image."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a tick has to tell."""

    images: int
    seconds: float  # of training
    img_per_s: float  # since the last tick
    progress: float  # 0 .. 1
    seconds_left: float  # of training, at the average speed so far
    values: dict[str, float]  # d_loss, d_accuracy, ...: means since the last tick; and what memories keep
    peak_memory: int  # bytes while training: of the device, or of the process on a CPU

    @property
    def kimg(self) -> float:
        return self.images / 1000


class Observer(Protocol):
    """Told of ticks, snapshots and the end; never called in a step."""

    def on_status(self, status: Status) -> None: ...

    def on_snapshot(self, snapshot: Snapshot) -> None: ...

    def on_end(self, result: dict[str, Any]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A moment of the run that is kept: `generator` is the averaged one, in eval mode."""

    images: int
    index: int  # 0 is the untrained generator
    last: bool
    generator: nn.Module
    metrics: dict[str, float] = field(default_factory=dict)  # filled where the snapshot was scored
    grid: torch.Tensor | None = None  # uint8 [C,H,W], of fixed noise


class SnapshotTaker(Protocol):
    """Stores, pictures and, where it is due, scores a snapshot; must leave weights and random state as they are.
    Returns the scores, none where it was not scored.
    """

    def __call__(self, *, images: int, index: int, last: bool, generator: nn.Module) -> dict[str, float]: ...


@dataclass(frozen=True, kw_only=True)
class Outcome:
    images: int
    seconds: float  # of training, scoring and saving not counted
    diverged: str | None  # why, or None
    values: dict[str, float]  # statistics of the last tick
    peak_memory: int  # bytes, while training
    reached: bool  # whether the run ended because its target was reached
    joules: float | None  # used while training; None where the device does not tell, or did for a part of the run only
    execution: str  # "eager", "graphs", or "eager: " and why there were no graphs


def train(
    *,
    gan: GAN,
    losses: Losses,
    extras: Extras = NO_EXTRAS,
    sampler: Sampler,
    config: Train,
    num_classes: int,  # 0: the networks get no labels
    device: torch.device,
    precision: Precision,
    plain: bool = False,  # no fast paths: see Step
    run: Journal,
    identity: Mapping[str, Any] | None = None,  # of the run, kept in its states: see TrainState
    first_budget: Budget | None = None,  # what the run was begun with; None: `config`'s
    ledger: Ledger | None = None,  # of the job's wall clock; None: its time begins now
    take_snapshot: SnapshotTaker,
    target: Target | None = None,  # None: train to the end of the budget
    observers: Sequence[Observer] = (),
    reset_peak_memory: Callable[[], object] = lambda: None,
    peak_memory: Callable[[], int] = lambda: 0,  # bytes, since the last reset
    report: Callable[[str], None] = lambda text: None,  # told in a line what is slower than it could be, and why
    turn: Turn = ALONE,  # where several runs of a process share the device
    stop: Stop = NEVER,  # looked at after each step
) -> Outcome:
    """Train until the budget is spent, continuing from the run directory's state where there is one.

    Raises:
        Stopped: a signal has come; the state is saved.
    """
    ledger = ledger or Ledger()
    step = Step(
        gan=gan,
        losses=losses,
        extras=extras,
        sampler=sampler,
        config=config,
        num_classes=num_classes,
        device=device,
        precision=precision,
        plain=plain,
        report=report,
        answers=_answers(run),
    )
    state = step.state
    state.identity = dict(identity or {})
    batch_size, schedule = config.batch_size, Schedule(config, first_budget, step.longest)
    pace = Pace(marks(device))
    values: dict[str, float] = {}
    hit = False  # the target
    if _answers(run) is None:
        run.record(engine=dataclasses.asdict(step.answers))
    continued = state.load(run, report)
    ledger.take_up(state.spent)

    def save() -> None:
        with turn.away():
            synchronize(device)  # what it does until then is training
        with ledger.of("ticks"):
            state.spent, state.seconds = ledger.spent(), ledger.seconds("train")
            state.save(run)

    def save_and_stop() -> None:
        save()
        stop.check(f" at {state.step * batch_size / 1000:g} kimg, state saved")

    if continued:
        run.rewind(state.step * batch_size)
        values = {name: value for name, value in (run.stats() or [{}])[-1].items() if value is not None}
        # The end of a shorter budget was a snapshot, though it may have lain between two of the interval.
        state.snapshot = min(state.snapshot, schedule.reached(state.step, state.seconds))
        if state.step == state.snapshot_step:  # the run may have been stopped while it was stored or scored
            scores = take_snapshot(
                images=state.step * batch_size,
                index=state.snapshot,
                last=schedule.ended(state.step, state.seconds),
                generator=step.averaged(),
            )
            hit = target is not None and target.reached(scores)
    else:
        run.rewind(-1)
        take_snapshot(images=0, index=0, last=False, generator=step.averaged())

    reset_peak_memory()  # scoring is not this variant's memory
    peak = int(values.pop("peak_memory", 0))
    diverged: str | None = None
    saved_at = state.seconds
    energy = EnergyMeter(device)
    energy.start()
    while not schedule.ended(state.step, state.seconds) and not hit:
        ledger.turn_to("train")
        step.advance(schedule.room(state.step, state.seconds, state.snapshot))
        turn.pass_on()
        pace.tell(turn)
        state.seconds = ledger.seconds("train")
        reached = schedule.reached(state.step, state.seconds)
        if reached <= state.snapshot and not schedule.ticks(state.step, state.seconds - state.tick_seconds):
            if stop.requested is not None:
                save_and_stop()
            if state.seconds - saved_at >= SAVE_SECONDS:  # ticks may be further apart
                save()
                saved_at = state.seconds
            continue

        # Tick. Reading the statistics waits for the device, which has been training until then.
        with turn.away():
            synchronize(device)
        ledger.turn_to("ticks")
        state.seconds = ledger.seconds("train")
        values = step.statistics.read()
        reached = schedule.reached(state.step, state.seconds)  # the budget may have ended while the device was awaited
        done = schedule.progress(state.step, state.seconds)
        speed = (state.step - state.tick_step) * batch_size / max(state.seconds - state.tick_seconds, 1e-9)
        state.tick_step, state.tick_seconds = state.step, state.seconds
        peak = max(peak, peak_memory())
        status = Status(
            images=state.step * batch_size,
            seconds=state.seconds,
            img_per_s=speed,
            progress=done,
            seconds_left=state.seconds * (1 - done) / max(done, 1e-9),
            values=values,
            peak_memory=peak,
        )
        run.add_stats(
            {
                "images": status.images,
                "kimg": status.kimg,
                "seconds": round(status.seconds, 3),
                "img_per_s": round(speed, 1),
                **values,
                "peak_memory": status.peak_memory,
            }
        )
        if observers:
            with preserved_random_state(device):  # when they are told is the clock's affair, and training is not
                for observer in observers:
                    observer.on_status(status)
        held = step.statistics.kept()  # may be infinite at first: a least value so far, say
        bad = ", ".join(name for name, value in values.items() if name not in held and not math.isfinite(value))
        if bad:
            diverged = f"{bad} not finite at {status.kimg:.1f} kimg"
            break
        if reached > state.snapshot and not _finite(
            state.ema
        ):  # the losses of this tick were read before its last step
            diverged = f"weights of G not finite at {status.kimg:.1f} kimg"
            break
        if reached > state.snapshot:
            state.snapshot, state.snapshot_step = reached, state.step
            save()
            energy.stop()
            scores = take_snapshot(
                images=status.images,
                index=reached,
                last=schedule.ended(state.step, state.seconds),
                generator=step.averaged(),
            )
            hit = target is not None and target.reached(scores)
            energy.start()
            reset_peak_memory()
            saved_at = state.seconds
        elif state.seconds - saved_at >= SAVE_SECONDS:
            save()
            saved_at = state.seconds
        if stop.requested is not None:
            save_and_stop()

    ledger.turn_to("rest")
    energy.stop()
    if diverged is None and values.get("diversity", 1.0) < COLLAPSE_STD:
        diverged = f"collapsed: generated images differ by {values['diversity']:.4f} on average"
    return Outcome(
        images=state.step * batch_size,
        seconds=state.seconds,
        diverged=diverged,
        values=values,
        peak_memory=peak,
        reached=hit,
        joules=None if energy.joules is None or continued or turn.runs > 1 else energy.joules,
        execution=step.execution,
    )


def _answers(run: Journal) -> Answers | None:
    """What the networks answered when the run began."""
    kept = run.read_record().get("engine")
    return None if kept is None else Answers(passes=kept["passes"], different=kept.get("different"))


def _finite(network: nn.Module) -> bool:
    """Whether no weight or buffer is NaN or infinite."""
    return all(bool(values.isfinite().all()) for values in network.state_dict().values())
