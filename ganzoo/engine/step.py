"""One iteration, from a batch of real images to the averaged generator: what the loop repeats and benchmarks time."""

from __future__ import annotations

import torch

from ganzoo.config import Train
from ganzoo.data import to_float
from ganzoo.data.sampler import Sampler
from ganzoo.engine.device import Precision
from ganzoo.engine.ema import ema_copy, ema_decay, ema_update
from ganzoo.engine.phases import Batch, make_phases, run_phase
from ganzoo.engine.state import TrainState
from ganzoo.engine.statistics import Statistics
from ganzoo.gan import GAN
from ganzoo.objectives import Losses


class Step:
    """Called without arguments, does one iteration. `state` is what it changes, `statistics` what it adds up."""

    def __init__(
        self,
        *,
        gan: GAN,
        losses: Losses,
        sampler: Sampler,
        config: Train,
        conditional: bool,
        device: torch.device,
        precision: Precision,
    ) -> None:
        """The networks are brought to `device`, laid out as convolutions like it there, in train mode."""
        for module in (gan.generator, gan.discriminator):
            module.to(device, memory_format=torch.channels_last).train().requires_grad_(False)  # type: ignore[call-overload]
        self.statistics = Statistics(device)
        phases = make_phases(gan, losses, config, precision, self.statistics)
        self.state = TrainState(gan=gan, ema=ema_copy(gan.generator), phases=phases, device=device)
        self._sampler, self._config, self._conditional = sampler, config, conditional

    def __call__(self) -> None:
        state, config = self.state, self._config
        pixels, labels = self._sampler.batch(state.step)
        real = to_float(pixels).contiguous(memory_format=torch.channels_last)
        batch = Batch(real=real, labels=labels if self._conditional else None)
        for phase in state.phases:
            if (state.step + 1) % phase.interval == 0:
                run_phase(phase, batch)
        state.step += 1
        if state.step % config.d_steps == 0:
            images = config.batch_size * config.d_steps
            seen = state.step * config.batch_size
            decay = ema_decay(images, seen, config.ema_kimg * 1000, config.ema_rampup)
            ema_update(state.ema, state.gan.generator, decay)
