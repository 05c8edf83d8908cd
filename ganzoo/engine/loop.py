"""The training loop, top to bottom. Everything that is not a step happens at ticks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from ganzoo.config.target import Target
from ganzoo.engine.device import preserved_random_state
from ganzoo.engine.energy import EnergyMeter
from ganzoo.engine.host import Host
from ganzoo.engine.journal import Journal
from ganzoo.engine.memory import MemoryMeter
from ganzoo.engine.pace import Pace, marks
from ganzoo.engine.schedule import Budget, Schedule
from ganzoo.engine.step import Answers, Step

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
    peak_memory: int  # bytes while training: of the device, or of the process on a CPU; of several the largest
    snapshot: int = 0  # number of the newest, before the one that is due now
    last_snapshot: int = 0  # number of the one that ends the run, if its budget does

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


class PictureTaker(Protocol):
    """Stores a picture of `generator`, the averaged one, and must leave weights and random state as they are."""

    def __call__(self, *, images: int, generator: nn.Module) -> None: ...


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
    step: Step,
    *,
    run: Journal,
    take_snapshot: SnapshotTaker,
    take_picture: PictureTaker | None = None,  # None: of snapshots alone
    identity: Mapping[str, Any] | None = None,  # of the run, kept in its states: see TrainState
    first_budget: Budget | None = None,  # what the run was begun with; None: that of `step.config`
    target: Target | None = None,  # None: train to the end of the budget
    observers: Sequence[Observer] = (),
    memory: MemoryMeter | None = None,  # None: not measured
    host: Host | None = None,  # None: a process of its own, whose time begins now
) -> Outcome:
    """Train until the budget is spent, continuing from the run directory's state where there is one. `step` was made
    with `answers_of(run)`.

    Raises:
        Stopped: a signal has come; the state is saved.
    """
    device = step.state.device
    training = _Training(
        step=step,
        run=run,
        take_snapshot=take_snapshot,
        take_picture=take_picture,
        schedule=Schedule(step.config, first_budget, step.longest),
        target=target,
        observers=observers,
        memory=memory or MemoryMeter(device, alone=False),
        host=host or Host(),
        energy=EnergyMeter(device),
    )
    step.state.identity = dict(identity or {})
    return training()


def answers_of(run: Journal) -> Answers | None:
    """What the networks answered when the run began; None: it has not."""
    kept = run.read_record().get("engine")
    if kept is None:
        return None
    product = kept.get("flop_per_product")
    return Answers(passes=kept["passes"], different=kept.get("different"), flop_per_product=product)


@dataclass(kw_only=True)
class _Training:
    """What `train` does, called once."""

    step: Step
    run: Journal
    take_snapshot: SnapshotTaker
    take_picture: PictureTaker | None
    schedule: Schedule
    target: Target | None
    observers: Sequence[Observer]
    memory: MemoryMeter
    host: Host
    energy: EnergyMeter
    values: dict[str, float] = field(default_factory=dict)  # of the last tick
    hit: bool = False  # the target
    diverged: str | None = None
    peak: int = 0  # bytes
    saved_at: float = 0.0  # seconds of training

    def __call__(self) -> Outcome:
        step, state, schedule, ledger = self.step, self.step.state, self.schedule, self.host.ledger
        pace = Pace(marks(state.device, step.ranks))
        continued = self._begin()
        self.memory.reset()  # scoring is not this variant's memory
        self.saved_at = state.seconds
        self.energy.start()
        while not schedule.ended(state.step, state.seconds) and not self.hit and self.diverged is None:
            ledger.turn_to("train")
            before = state.step
            step.advance(schedule.room(state.step, state.seconds, state.snapshot))
            self.host.turn.pass_on()
            pace.tell(self.host.turn)
            state.seconds = ledger.seconds("train")
            snapshot_due = schedule.reached(state.step, state.seconds) > state.snapshot
            if not snapshot_due and schedule.pictured(before, state.step):
                self._picture()
            if snapshot_due or schedule.ticks(state.step, state.seconds - state.tick_seconds):
                self._tick()
            elif self.host.stop.requested is not None:
                self._save_and_stop()
            elif state.seconds - self.saved_at >= SAVE_SECONDS:  # ticks may be further apart
                self._save()
        ledger.turn_to("rest")
        self.energy.stop()
        return self._outcome(continued)

    def _begin(self) -> bool:
        """Take up what there is of the run, or its first snapshot. Returns whether there was a state."""
        step, state, run = self.step, self.step.state, self.run
        if answers_of(run) is None:
            run.record(engine=dataclasses.asdict(step.answers))
        continued = state.load(run, self.host.report)
        self.host.ledger.take_up(state.spent)
        step.share()
        if not continued:
            run.rewind(-1)
            self.take_snapshot(images=0, index=0, last=False, generator=step.averaged())
            return False
        seen = int((run.stats() or [{}])[-1].get("images") or 0)
        run.rewind(self._images)
        self.host.resumed(self._images, max(seen, self._images))
        self.values = {name: value for name, value in (run.stats() or [{}])[-1].items() if value is not None}
        self.peak = int(self.values.pop("peak_memory", 0))
        # The end of a shorter budget was a snapshot, though it may have lain between two of the interval.
        state.snapshot = min(state.snapshot, self.schedule.reached(state.step, state.seconds))
        if state.step == state.snapshot_step:  # the run may have been stopped while it was stored or scored
            self._snapshot()
        return True

    def _picture(self) -> None:
        if self.take_picture is None:
            return
        state, ledger = self.step.state, self.host.ledger
        with self.host.turn.away():
            self.step.ranks.synchronize(state.device)  # what it does until then is training
        with ledger.of("ticks"):
            self.energy.stop()
            peak = self.memory.training_peak()
            self.peak = max(self.peak, peak)
            self.take_picture(images=self._images, generator=self.step.averaged())
            if self.memory.training_peak() > peak:  # which is the picture's then; and what is given back is not free
                self.memory.reset()
            self.energy.start()
        state.seconds = ledger.seconds("train")

    @property
    def _images(self) -> int:
        return self.step.state.step * self.step.config.batch_size

    def _tick(self) -> None:
        state, ledger = self.step.state, self.host.ledger
        # Reading the statistics waits for the device, which has been training until then.
        with self.host.turn.away():
            self.step.ranks.synchronize(state.device)
        ledger.turn_to("ticks")
        state.seconds = ledger.seconds("train")
        self.step.gather()
        self.values = self.step.statistics.read()
        # The budget may have ended while the device was awaited.
        reached = self.schedule.reached(state.step, state.seconds)
        self._tell()
        self.diverged = self._bad(snapshot=reached > state.snapshot)
        if self.diverged is not None:
            return
        if reached > state.snapshot:
            state.snapshot, state.snapshot_step = reached, state.step
            self._save()
            self.energy.stop()
            self._snapshot()
            self.energy.start()
            self.memory.reset()
        elif state.seconds - self.saved_at >= SAVE_SECONDS:
            self._save()
        if self.host.stop.requested is not None:
            self._save_and_stop()

    def _tell(self) -> None:
        """The tick to the run's statistics and to the observers."""
        step, state = self.step, self.step.state
        done = self.schedule.progress(state.step, state.seconds)
        steps = state.step - state.tick_step
        images = steps * step.config.batch_size
        speed = images / max(state.seconds - state.tick_seconds, 1e-9)
        state.tick_step, state.tick_seconds = state.step, state.seconds
        self.peak = max(self.peak, self.memory.training_peak(), step.peak_elsewhere)
        status = Status(
            images=self._images,
            seconds=state.seconds,
            img_per_s=speed,
            progress=done,
            seconds_left=state.seconds * (1 - done) / max(done, 1e-9),
            values=self.values,
            peak_memory=self.peak,
            snapshot=state.snapshot,
            last_snapshot=self.schedule.last,
        )
        self.run.add_stats(
            {
                "images": status.images,
                "kimg": status.kimg,
                "seconds": round(status.seconds, 3),
                "steps": steps,
                "img_per_s": round(speed, 1),
                **self.values,
                "peak_memory": status.peak_memory,
            }
        )
        if self.observers:
            with preserved_random_state(state.device):  # when they are told is the clock's affair, and training is not
                for observer in self.observers:
                    observer.on_status(status)

    def _bad(self, *, snapshot: bool) -> str | None:
        """Why the run has diverged, or None. Weights are looked at before a snapshot: the losses of this tick were read
        before its last step.
        """
        at = f"not finite at {self._images / 1000:.1f} kimg"
        held = self.step.statistics.kept()  # may be infinite at first: a least value so far, say
        bad = [name for name, value in self.values.items() if name not in held and not math.isfinite(value)]
        if bad:
            return f"{', '.join(bad)} {at}"
        return f"weights of G {at}" if snapshot and not _finite(self.step.state.ema) else None

    def _snapshot(self) -> None:
        state = self.step.state
        scores = self.take_snapshot(
            images=self._images,
            index=state.snapshot,
            last=self.schedule.ended(state.step, state.seconds),
            generator=self.step.averaged(),
        )
        self.hit = self.target is not None and self.target.reached(scores)

    def _save(self) -> None:
        state, ledger = self.step.state, self.host.ledger
        with self.host.turn.away():
            self.step.ranks.synchronize(state.device)  # what it does until then is training
        with ledger.of("ticks"):
            self.step.gather()
            state.spent, state.seconds = ledger.spent(), ledger.seconds("train")
            state.save(self.run)
        self.saved_at = state.seconds

    def _save_and_stop(self) -> None:
        self._save()
        self.host.stop.check(f" at {self._images / 1000:g} kimg, state saved")

    def _outcome(self, continued: bool) -> Outcome:
        diverged, energy, host = self.diverged, self.energy, self.host
        partly = host.turn.runs + host.turn.beside > 1 or host.ranks.several  # the device's energy is not the run's
        if diverged is None and self.values.get("diversity", 1.0) < COLLAPSE_STD:
            diverged = f"collapsed: generated images differ by {self.values['diversity']:.4f} on average"
        return Outcome(
            images=self._images,
            seconds=self.step.state.seconds,
            diverged=diverged,
            values=self.values,
            peak_memory=self.peak,
            reached=self.hit,
            joules=None if energy.joules is None or continued or partly else energy.joules,
            execution=self.step.execution,
        )


def _finite(network: nn.Module) -> bool:
    """Whether no weight or buffer is NaN or infinite."""
    return all(bool(values.isfinite().all()) for values in network.state_dict().values())
