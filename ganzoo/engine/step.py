"""One iteration, from a batch of real images to the averaged generator: what the loop repeats and benchmarks time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ganzoo.config.run_config import Train
from ganzoo.data import to_float
from ganzoo.data.sampler import Sampler
from ganzoo.engine.cpu.allocator import keep_freed_memory
from ganzoo.engine.cpu.convolutions import lay_out_weights
from ganzoo.engine.cpu.operations import Operations
from ganzoo.engine.cuda.capture import cuda_graphs
from ganzoo.engine.cuda.graphs import ITERATIONS_PER_REPLAY, Backend, Iteration, Iterations
from ganzoo.engine.device import Precision, numerics
from ganzoo.engine.ema import ema_copy, ema_decay, ema_update
from ganzoo.engine.phases import Batch, Phase, generate, make_phases, run_phase, set_gradients
from ganzoo.engine.probes.joint import Passes, passes_of
from ganzoo.engine.probes.trial import Trial
from ganzoo.engine.state import TrainState
from ganzoo.engine.statistics import Statistics
from ganzoo.gan import GAN
from ganzoo.objectives import Losses


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What networks are asked before they are trained. Kept with the run: other weights might answer otherwise."""

    passes: Passes
    different: str | None  # see Trial.difference; None for the plain engine, too


def _ask(
    gan: GAN,
    losses: Losses,
    config: Train,
    sampler: Sampler,
    num_classes: int,
    device: torch.device,
    plain: bool,
) -> Answers:
    pixels, labels = sampler.batch(0)
    labels = labels if num_classes else None
    passes: Passes = "two" if gan.batch_dependent else passes_of(gan.discriminator, to_float(pixels), labels)
    trial = Trial(
        gan=gan,
        losses=losses,
        config=config,
        shape=sampler.shape,
        num_classes=num_classes,
        device=device,
        passes=passes,
    )
    return Answers(passes=passes, different=None if plain else trial.difference())


class Step:
    """Called without arguments, does one iteration. `state` is what it changes, `statistics` what it adds up.

    On CUDA, unless `plain`, iterations are replayed as graphs; where they cannot be, `report` is told once.
    """

    def __init__(
        self,
        *,
        gan: GAN,
        losses: Losses,
        sampler: Sampler,
        config: Train,
        num_classes: int,  # 0: the networks get no labels
        device: torch.device,
        precision: Precision,
        plain: bool = False,  # torch's own convolutions, layout, optimizers: what the fast paths are tested against
        graphs: Backend | Literal["auto"] | None = "auto",  # None: eager iterations
        per_replay: int = ITERATIONS_PER_REPLAY,
        answers: Answers | None = None,  # that a run's networks gave when it began; None: they are asked
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        """The networks are brought to `device`, laid out as convolutions like it there, in train mode."""
        if not plain and device.type == "cpu":
            keep_freed_memory()
        for module in (gan.generator, gan.discriminator):
            module.to(device).train().requires_grad_(False)
        self.answers = answers or _ask(gan, losses, config, sampler, num_classes, device, plain)
        different = None if plain else self.answers.different
        if different is not None:
            report(f"trained by torch's own convolutions in torch's own layout, which is slower: {different}")
        self._different = different
        natural = plain or different is not None
        self._layout = torch.contiguous_format if natural else torch.channels_last
        self._laid_out = False
        for module in (gan.generator, gan.discriminator):
            module.to(memory_format=self._layout)
            if not natural and device.type == "cpu" and precision.name == "fp32":
                self._laid_out |= lay_out_weights(module)
        self.statistics = Statistics(device)
        # For networks alone: optimizers and all else would pay for being watched.
        self._operations = Operations(plain=natural)
        self._operations.lost_is_fatal = not natural
        phases = make_phases(
            gan,
            losses,
            config,
            precision,
            self.statistics,
            passes=self.answers.passes,
            operations=self._operations,
            plain=plain,
            capturable=device.type == "cuda" and not plain,
        )
        self.state = TrainState(
            gan=gan, ema=ema_copy(gan.generator), phases=phases, device=device, statistics=self.statistics
        )
        self._sampler, self._config, self._conditional = sampler, config, num_classes > 0
        self._precision = precision
        self._penalised = losses.penalty is not None
        backend = cuda_graphs(device) if graphs == "auto" and not plain else None if graphs == "auto" else graphs
        self._iterations: Iterations | None = None
        if backend is not None or (device.type == "cuda" and not plain):
            self._iterations = Iterations(
                work=self._iterate,
                state=self.state,
                statistics=self.statistics,
                backend=backend,
                report=report,
                per_replay=per_replay,
            )

    @property
    def longest(self) -> int:
        """The most iterations that `advance` may do in one call."""
        return 1 if self._iterations is None else self._iterations.longest

    @property
    def execution(self) -> str:
        """ "eager", "graphs", or "eager: " and why there are no graphs; then, perhaps, why not in our layout."""
        how = self._how()
        return how if self._different is None else f"{how}; in torch's own layout: {self._different}"

    def _how(self) -> str:
        if self._iterations is None or (not self._iterations.replays and self._iterations.failure is None):
            return "eager"
        return "graphs" if self._iterations.failure is None else f"eager: {self._iterations.failure}"

    def averaged(self) -> nn.Module:
        """The averaged generator, in eval mode, to be sampled from with torch's own operations: a copy of it as it is
        now, where its weights are laid out for ours.
        """
        if not self._laid_out:
            return self.state.ema
        return copy.deepcopy(self.state.ema).to(memory_format=self._layout)

    def __call__(self) -> None:
        self.advance(1)

    def advance(self, room: int) -> None:
        """Do at least one iteration, and at most `room` of them."""
        try:
            with numerics(self.state.device, self._precision, penalised=self._penalised):
                if self._iterations is None:
                    iteration = self._next()
                    self._iterate(iteration.pixels, iteration.labels, iteration.due, iteration.decay)
                else:
                    count = self._iterations.reach(self.state.step, room)
                    self._iterations.run([self._next() for _ in range(count)])
        except Exception as error:
            if not self._operations.plain:  # code that has not run on trial may be legitimate all the same
                error.add_note("ganzoo: --set engine=plain runs networks and penalties as torch does")
            raise

    def _next(self) -> Iteration:
        state, config = self.state, self._config
        pixels, labels = self._sampler.batch(state.step)
        state.step += 1
        due = [phase for phase in state.phases if state.step % phase.interval == 0]
        images, seen = config.batch_size * config.d_steps, state.step * config.batch_size
        decay = ema_decay(images, seen, config.ema_kimg * 1000, config.ema_rampup)
        return Iteration(pixels=pixels, labels=labels, due=due, decay=decay)

    def _iterate(self, pixels: Tensor, labels: Tensor | None, due: Sequence[Phase], decay: float | Tensor) -> None:
        """The work on the device. pixels uint8 `[B,C,H,W]`, labels int64 `[B]` or None. `decay`: of the EMA, which
        follows each update of G.
        """
        state = self.state
        gan = state.gan
        labels = labels if self._conditional else None
        of_generator = [phase for phase in due if phase.module is gan.generator]
        trains_g = bool(of_generator)
        for phase in of_generator:
            set_gradients(phase.parameters, on=True)
        z = torch.randn(len(pixels), gan.z_dim, device=state.device)
        with torch.set_grad_enabled(trains_g):
            fake = generate(gan.generator, z, labels, self._precision, self._operations)
        batch = Batch(real=to_float(pixels).contiguous(memory_format=self._layout), fake=fake, labels=labels)
        for phase in due:
            run_phase(phase, batch)
        if trains_g:
            ema_update(state.ema, gan.generator, decay)
