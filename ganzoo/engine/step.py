"""One iteration, from a batch of real images to the averaged generator: what the loop repeats and benchmarks time."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from ganzoo.config.run_config import Train
from ganzoo.data import to_float
from ganzoo.data.sampler import Sampler
from ganzoo.engine.cpu.allocator import keep_freed_memory
from ganzoo.engine.cpu.convolutions import lay_out_weights
from ganzoo.engine.cpu.operations import Operations
from ganzoo.engine.cpu.optimizers import reads_rates, set_rates
from ganzoo.engine.cpu.recording import Recordings
from ganzoo.engine.cpu.threads import threads, threads_for
from ganzoo.engine.cuda.capture import cuda_graphs
from ganzoo.engine.device import Precision, numerics
from ganzoo.engine.ema import Average, ema_copy, ema_decay
from ganzoo.engine.game import Extras, Game
from ganzoo.engine.inputs import Inputs, Iteration
from ganzoo.engine.moment import Networks, Shared
from ganzoo.engine.phases import due_at, make_phases, run_phase, set_gradients
from ganzoo.engine.probes.joint import Passes, passes_of
from ganzoo.engine.probes.trial import Trial
from ganzoo.engine.ranks.gathering import gather
from ganzoo.engine.ranks.group import ALONE, Order, Ranks
from ganzoo.engine.replays import ITERATIONS_PER_REPLAY, Backend, Iterations
from ganzoo.engine.state import TrainState
from ganzoo.engine.statistics import Statistics
from ganzoo.gan import GAN, Normal
from ganzoo.objectives import Losses

NO_EXTRAS = Extras()


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What networks are asked before they are trained. Kept with the run: other weights might answer otherwise."""

    passes: Passes
    different: str | None  # see Trial.difference; None for the plain engine, too
    flop_per_product: float | None = None  # see Trial; None for the plain engine, on GPUs, where torch has one thread


def _ask(gan: GAN, sampler: Sampler, num_classes: int, trial: Callable[[Passes], Trial], plain: bool) -> Answers:
    pixels, labels = sampler.batch(0)
    labels = labels if num_classes else None
    passes: Passes = "two" if gan.batch_dependent else passes_of(gan.discriminator, to_float(pixels), labels)
    return Answers(passes=passes, different=None if plain else trial(passes).difference())


class Step:
    """Called without arguments, does one iteration. `state` is what it changes, `statistics` what it adds up.

    Unless `plain`, iterations are replayed: on CUDA as graphs, and where they cannot be, `report` is told once; on the
    CPU as recordings.
    """

    def __init__(
        self,
        *,
        gan: GAN,
        losses: Losses,
        extras: Extras = NO_EXTRAS,
        sampler: Sampler,
        config: Train,
        num_classes: int,  # 0: the networks get no labels
        device: torch.device,
        precision: Precision,
        plain: bool = False,  # torch's own convolutions, layout, optimizers: what the fast paths are tested against
        graphs: Backend | Literal["auto"] | None = "auto",  # None: eager iterations
        per_replay: int = ITERATIONS_PER_REPLAY,
        answers: Answers | None = None,  # that a run's networks gave when it began; what they lack is asked
        report: Callable[[str], None] = lambda text: None,
        ranks: Ranks = ALONE,  # whose `sampler` gives this rank's part of each batch of `config.batch_size`
    ) -> None:
        """The networks are brought to `device`, laid out as convolutions like it there, in train mode."""
        if not plain and device.type == "cpu":
            keep_freed_memory()
        self.config, self.ranks = config, ranks
        game = Game(gan=gan, losses=losses, extras=extras)
        for module in (*game.networks().values(), *game.memories().values()):
            module.to(device).train().requires_grad_(False)

        def trial(passes: Passes) -> Trial:
            shape = sampler.shape
            return Trial(game=game, config=config, shape=shape, num_classes=num_classes, device=device, passes=passes)

        self.answers = answers or _ask(gan, sampler, num_classes, trial, plain)
        several = device.type == "cpu" and not plain and torch.get_num_threads() > 1
        if several and self.answers.flop_per_product is None:  # a run that goes on may have begun with one thread
            self.answers = replace(self.answers, flop_per_product=trial(self.answers.passes).flop_per_product())
        self.threads = threads_for(self.answers.flop_per_product)
        different = None if plain else self.answers.different
        if different is not None:
            report(f"trained by torch's own convolutions in torch's own layout, which is slower: {different}")
        self._different = different
        natural = plain or different is not None
        self._layout = torch.contiguous_format if natural else torch.channels_last
        self._laid_out = False
        for module in game.networks().values():
            module.to(memory_format=self._layout)
            if not natural and device.type == "cpu" and precision.name == "fp32":
                self._laid_out |= lay_out_weights(module)
        self.statistics = Statistics(device, game.memories())
        self.peak_elsewhere = 0  # bytes: the most that another rank has taken while training
        self._report, self._told = report, False
        # For networks alone: optimizers and all else would pay for being watched.
        self._operations = Operations(plain=natural, ranks=ranks if config.sync_batch_norm else ALONE)
        self._operations.lost_is_fatal = not natural
        phases = make_phases(
            game,
            config,
            precision,
            self.statistics,
            passes=self.answers.passes,
            operations=self._operations,
            plain=plain,
            capturable=device.type == "cuda" and not plain,
        )
        self.state = TrainState(
            gan=gan,
            ema=ema_copy(gan.generator),
            phases=phases,
            device=device,
            kept=game.kept(),
            statistics=self.statistics,
        )
        self._average = Average(self.state.ema, gan.generator)
        self._networks = Networks(game, precision, self._operations, self.answers.passes)
        self._g_interval = next((phase.interval for phase in phases if phase.generates), 1)
        self._g_parameters = list(gan.generator.parameters())
        self._prior = None if isinstance(gan.prior, Normal) else gan.prior
        self._goes_by_progress = any(term.progress for term in game.terms)
        self._sampler, self._conditional = sampler, num_classes > 0
        modules = (*game.networks().values(), *game.memories().values())
        self._kept = [buffer for module in modules for buffer in module.buffers() if buffer.is_floating_point()]
        self._rows = ranks.rows(config.batch_size) if ranks.several else contextlib.nullcontext()
        self._precision = precision
        self._penalised = game.penalised
        if graphs == "auto":  # all ranks would have to record and replay NCCL's messages alike
            graphs = None if plain or ranks.several else cuda_graphs(device) or self._recordings()
        self._apart = isinstance(graphs, Recordings)
        self._iterations: Iterations | None = None
        if graphs is not None or (device.type == "cuda" and not plain):
            self._iterations = Iterations(
                work=self._train if self._apart else self._iterate,
                state=self.state,
                statistics=self.statistics,
                backend=graphs,
                report=(lambda text: None) if self._apart else report,
                per_replay=1 if self._apart else per_replay,
                apart=self._apart,
            )

    def _recordings(self) -> Recordings | None:
        """On the CPU, where what moves from step to step is the average's and the optimizers'."""
        moving = [phase.optimizer for phase in self.state.phases if phase.rate is not None]
        held = self.state.device.type == "cpu" and not self._goes_by_progress and all(map(reads_rates, moving))
        return Recordings(rates_move=bool(moving)) if held else None

    @property
    def longest(self) -> int:
        """The most iterations that `advance` may do in one call."""
        return 1 if self._iterations is None else self._iterations.longest

    @property
    def warm_up(self) -> int:
        """Iterations from the first until each kind can be replayed."""
        return 0 if self._iterations is None else self._iterations.warm_up

    @property
    def execution(self) -> str:
        """ "eager", "graphs", "recordings", or "eager: " and why neither; then, perhaps, why not in our layout."""
        how = self._how()
        return how if self._different is None else f"{how}; in torch's own layout: {self._different}"

    def _how(self) -> str:
        if self._iterations is None or (not self._iterations.replays and self._iterations.failure is None):
            return "eager"
        kind = "recordings" if self._apart else "graphs"
        return kind if self._iterations.failure is None else f"eager: {self._iterations.failure}"

    def close(self) -> None:
        """Its graphs are not replayed again, and the device's memory is free: without this they and the step would hold
        each other until garbage is collected, and the memory would count as the next run's.
        """
        if self._iterations is not None:
            self._iterations.forget()
            self._iterations = None

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
        """Do at least one iteration, and at most `room` of them. Of several ranks the leader's tells the others to do
        as many.
        """
        count = 1 if self._iterations is None else self._iterations.reach(self.state.step, room)
        if self.ranks.leads:
            self.ranks.order(Order.ADVANCE, count)
        try:
            how = numerics(self.state.device, self._precision, penalised=self._penalised)
            with how, self._rows, threads(self.threads):
                if self._iterations is None:
                    self._iterate(self._next())
                elif self._apart:
                    iteration = self._next()
                    self._set_rates(iteration)
                    self._iterations.run([iteration])
                    self._move_average(iteration)
                else:
                    self._iterations.run([self._next() for _ in range(count)])
        except Exception as error:
            if not self._operations.plain:  # code that has not run on trial may be legitimate all the same
                error.add_note("ganzoo: --set engine=plain runs networks and penalties as torch does")
            raise

    def share(self) -> None:
        """The leader's, of several ranks: give the others the state that training begins with here."""
        if self.ranks.several:
            self.ranks.send(Order.TRAIN, self.state.handed_on())

    def gather(self) -> None:
        """The leader's, before statistics are read or saved: make them those of all ranks. The others begin anew."""
        if not self.ranks.several:
            return
        names = self.statistics.names()
        found = gather(self.ranks, names, self.state.device, self.statistics.take_out(names))
        self.statistics.put_in(names, found.numbers)
        self.peak_elsewhere = max(self.peak_elsewhere, found.peak)
        if found.drawn_apart and not self._told:
            self._told = True
            self._report(
                "how many random numbers are drawn depends on the images of each process: this run is not that of one"
            )

    def _next(self) -> Iteration:
        state, config = self.state, self.config
        pixels, labels = self._sampler.batch(state.step)
        state.step += 1
        due = due_at(state.phases, state.step)
        rates = [1.0 if phase.rate is None else phase.rate(state.step) for phase, _ in due]
        images, seen = config.batch_size * self._g_interval, state.step * config.batch_size
        decay = ema_decay(images, seen, config.ema_kimg * 1000, config.ema_rampup)
        return Iteration(
            pixels=pixels,
            labels=labels,
            due=due,
            decay=decay,
            rates=rates,
            progress=self._progress() if self._goes_by_progress else 0.0,
        )

    def _progress(self) -> float:
        """0 in the first step of the budget, 1 in its last."""
        steps = math.ceil((self.config.kimg or 0.0) * 1000 / self.config.batch_size)
        return min(1.0, (self.state.step - 1) / max(steps - 1, 1))

    def _iterate(self, given: Inputs) -> None:
        """The work on the device."""
        self._set_rates(given)
        self._train(given)
        self._move_average(given)

    def _set_rates(self, given: Inputs | Iteration) -> None:
        for (phase, _), rate in zip(given.due, given.rates, strict=True):
            if phase.rate is not None:
                set_rates(phase.optimizer, rate)

    def _move_average(self, given: Inputs | Iteration) -> None:
        if any(phase.generates for phase, _ in given.due):
            self._average.update(given.decay)

    def _train(self, given: Inputs) -> None:
        state = self.state
        gan, pixels = state.gan, given.pixels
        labels = given.labels if self._conditional else None
        if labels is not None and self._apart:
            labels = labels.clone()  # who keeps an iteration's must not find those of a later one
        trains_g = any(phase.generates for phase, _ in given.due)
        if trains_g:
            set_gradients(self._g_parameters, on=True)
        z = torch.randn(len(pixels), gan.z_dim, device=state.device)
        if self._prior is not None:
            z = self._prior(z)
        with torch.set_grad_enabled(trains_g):
            made = self._networks.generate(z, labels)
        # The graph stays. What a phase that does not move G does with it, a gradient by z for one, must not reach it.
        set_gradients(self._g_parameters, on=False)
        shared = Shared(
            z=z,
            real=to_float(pixels).contiguous(memory_format=self._layout),
            made=made,
            labels=labels,
            progress=given.progress if self._goes_by_progress else None,
        )
        for phase, terms in given.due:
            run_phase(phase, shared, terms, self.ranks)
        if self.ranks.several and self._kept:
            self.ranks.average(self._kept)
