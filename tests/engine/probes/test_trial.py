"""Networks as plugins write them: trained as torch trains them, or run as torch runs them and said so."""

from __future__ import annotations

import functools
import itertools
import logging
import operator
import re
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import Train
from ganzoo.data import make_images, make_sampler
from ganzoo.engine.device import Precision
from ganzoo.engine.game import Game
from ganzoo.engine.probes.trial import Trial
from ganzoo.engine.step import Step
from ganzoo.errors import SettingError
from ganzoo.gan import GAN
from ganzoo.objectives import Losses, gradient_penalty
from ganzoo.runs.snapshots import build_gan
from ganzoo.scoring.generation import generate
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
REGISTRY = Registry.load(environ={})
GAMES = [(spec.name, objective) for spec in REGISTRY.variants() for objective in {spec.objective: 1, "wgan-gp": 1}]
GAMES += [(variant, spec.name) for variant in ("gan", "dcgan") for spec in REGISTRY.all("objectives")]
"""Every variant under its own objective and a penalty that is differentiated twice; every objective with linear layers
and with convolutions.
"""


class G(nn.Module):
    """z `[N,4]` -> images `[N,3,8,8]`, with dropout between its convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.ConvTranspose2d(4, 8, 4)
        self.last = nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return torch.tanh(self.last(self.middle(self.first(z[:, :, None, None]))))

    def middle(self, x: Tensor) -> Tensor:
        return F.dropout(torch.relu(x), 0.3, self.training)


class D(nn.Module):
    """`body` is what a plugin's author wrote between two convolutions."""

    def __init__(self, body: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 4, stride=2, padding=1)
        self.last = nn.Conv2d(8, 1, 4)
        self.body = body

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        return self.last(self.body(self.first(images))).flatten()


class Viewed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x.view(x.size(0), -1), 0.1).view(x.size(0), 8, 4, 4)


def through_a_view(x: Tensor) -> Tensor:
    x.flatten(1).clamp_(min=0)  # lost, where images are channels last
    return x


def through_contiguous(x: Tensor) -> Tensor:
    x.contiguous()[:, :4].mul_(2)
    return x


def on_a_view_alone(x: Tensor) -> Tensor:
    return F.relu(x.flatten(1), inplace=True).unflatten(1, x.shape[1:])


def on_rows(x: Tensor) -> Tensor:
    """Of a contiguous image they are a copy; and as yet nothing is changed."""
    rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    rows.mul_(1.0)
    return torch.relu(x)


def viewed_as(x: Tensor) -> Tensor:
    return torch.relu(x.view_as(torch.empty(len(x), 128))).view(x.shape)


def noisy(x: Tensor) -> Tensor:
    return torch.relu(x + 0.1 * torch.randn_like(x)) + torch.rand_like(x) + torch.empty_like(x).normal_()


def noisy_within(x: Tensor) -> Tensor:
    return x * checkpoint(lambda y: F.dropout(y, 0.5), x, use_reentrant=False)


def drops_in_a_checkpoint(x: Tensor) -> Tensor:
    return checkpoint(lambda y: F.dropout(torch.relu(y), 0.5), x, use_reentrant=True)


class RowWeights(D):
    """Its weights as rows, as spectral normalisation by hand takes them: channels last they have no such view."""

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        norm = self.first.weight.view(8, -1).norm(dim=1)
        return self.last(torch.relu(self.first(images)) / norm.view(1, -1, 1, 1)).flatten()


def penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    return 10 * gradient_penalty(critic, real, fake)


def batched(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Gradients of all logits at once, by vmap over the backward pass."""
    x = real.clone().requires_grad_()
    logits = critic(x)
    (gradients,) = torch.autograd.grad(
        logits, x, torch.eye(len(x)), create_graph=True, is_grads_batched=True
    )  # [N,N,C,H,W]
    return gradients.flatten(2).norm(dim=2).sum(0)


def forwards(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """The slope of the critic from a real image to a generated one."""
    with forward_ad.dual_level():
        logits = critic(forward_ad.make_dual(real, fake - real))
        return forward_ad.unpack_dual(logits).tangent.square()


def mapped(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    return torch.func.vmap(torch.func.grad(lambda x: critic(x[None]).sum()))(real).flatten(1).norm(dim=1)


def make(critic: Callable[[], nn.Module], penalty: Any = None, **options: Any) -> tuple[Step, list[str]]:
    torch.manual_seed(0)
    told: list[str] = []
    pixels = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8)
    step = Step(
        gan=GAN(generator=G(), discriminator=critic(), z_dim=4),
        losses=Losses(
            d_loss=lambda real, fake: F.softplus(fake) + F.softplus(-real),
            g_loss=lambda fake, real: F.softplus(-fake),
            penalty=penalty,
        ),
        sampler=make_sampler(make_images(pixels, None), batch_size=8, device=CPU, seed=0),
        config=Train(batch_size=8, d_steps=2),
        num_classes=0,
        device=CPU,
        precision=Precision(name="fp32", device_type="cpu"),
        report=told.append,
        **options,
    )
    torch.manual_seed(1)
    return step, told


@pytest.mark.parametrize(
    ("critic", "penalty", "natural"),
    [
        pytest.param(D, None, False, id="ordinary"),
        pytest.param(D, penalty, False, id="penalised"),
        pytest.param(lambda: D(torch.compile(Viewed(), backend="eager")), None, None, id="compiled"),
        pytest.param(lambda: D(torch.jit.script(Viewed())), None, True, id="scripted"),
        pytest.param(lambda: D(viewed_as), None, False, id="view_as"),
        pytest.param(RowWeights, None, False, id="view of weights"),
        pytest.param(D, batched, True, id="batched gradients"),
        pytest.param(D, forwards, False, id="forward mode"),
        pytest.param(D, mapped, False, id="vmap"),
        pytest.param(lambda: D(through_a_view), None, True, id="written through a view"),
        pytest.param(lambda: D(through_contiguous), None, True, id="written through contiguous"),
        pytest.param(lambda: D(on_a_view_alone), None, True, id="a view in place"),
        pytest.param(lambda: D(on_rows), None, True, id="written into rows"),
        pytest.param(lambda: D(noisy), None, False, id="noise"),
        pytest.param(lambda: D(drops_in_a_checkpoint), None, False, id="reentrant checkpoint"),
        pytest.param(lambda: D(noisy_within), None, True, id="checkpoint"),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore:The .grad attribute")  # the second: while compiling
def test_a_network_is_trained_as_torch_trains_it(
    critic: Callable[[], nn.Module], penalty: Any, natural: bool | None
) -> None:
    """`natural`: whether it has to be run in torch's own layout, None: whichever; which is said, and said once."""
    read: list[dict[str, float]] = []
    for plain in (True, False):
        step, told = make(critic, penalty, plain=plain)
        for _ in range(6):
            step()
        read.append(step.statistics.read())
    theirs, ours = read
    assert ours == pytest.approx(theirs, rel=2e-4, abs=2e-5)
    said = [line for line in told if "torch's own layout" in line]
    assert len(told) == len(said) <= 1
    assert natural is None or bool(said) is natural, told


@pytest.mark.parametrize(("variant", "objective"), dict.fromkeys(GAMES))
def test_the_zoo_is_trained_fast(variant: str, objective: str) -> None:
    """No variant and no objective is run in torch's own layout by mistake."""
    spec, loss = REGISTRY.variant(variant), REGISTRY.objective(objective)
    if loss.per_sample_gradients and not spec.per_sample_critic:
        pytest.skip("needs a critic without batch norm")
    if not set(loss.needs) <= set(spec.gives):
        pytest.skip("needs what this discriminator does not return")
    known = {setting.name for setting in spec.settings}
    widths = {"channels": 16, "width": 64, "mixed": 8, "resolution": 32}
    sets = [f"variant.{name}={value}" for name, value in widths.items() if name in known]
    side = 16 if spec.sizes is None or 16 in spec.sizes else min(spec.sizes)
    config = build_config(REGISTRY, variant=variant, objective=objective, sets=sets)
    torch.manual_seed(0)
    gan = build_gan(REGISTRY, config, (1, side, side), 4)
    for network in (gan.generator, gan.discriminator):
        network.train().requires_grad_(False)
    networks = (gan.generator, gan.discriminator)
    before = [value.clone() for network in networks for value in network.state_dict().values()]
    state = torch.get_rng_state()
    trial = Trial(
        game=Game(gan=gan, losses=loss.load()(config.objective.settings)),
        config=config.train,
        shape=(1, side, side),
        num_classes=4 if spec.conditional else 0,
        device=CPU,
        passes="two",
    )
    assert trial.difference() is None
    after = [value for network in networks for value in network.state_dict().values()]
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


class Late(D):
    """Writes through a view, but not on trial."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = itertools.count()

    def __deepcopy__(self, memo: Any) -> nn.Module:
        ordinary = D()
        ordinary.load_state_dict(self.state_dict())
        return ordinary.train().requires_grad_(False)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        x = self.first(images)
        return self.last(through_a_view(x) if next(self.calls) >= 3 else torch.relu(x)).flatten()


def test_what_is_lost_later_is_an_error_with_its_cure() -> None:
    step, told = make(Late)
    step()  # a pass of D, and two in the next one
    step()
    with pytest.raises(SettingError, match="written in place") as caught:
        step()
    assert "engine=plain" in caught.value.cure
    assert not told


class Holds(D):
    """What networks commonly hold beside tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.log = logging.getLogger(__name__)
        self.options = types.SimpleNamespace(scale=1.0)
        self.pattern = re.compile("a+")
        self.whole = weakref.ref(self)
        self.getter = operator.attrgetter("first")
        self.kind = list[int]
        self.constants = types.MappingProxyType({"gain": 2.0})
        self.array = np.broadcast_to(np.float32(1), (3,))  # read-only

    def __deepcopy__(self, memo: Any) -> nn.Module:
        other = Holds()
        other.load_state_dict(self.state_dict())
        return other.train().requires_grad_(False)


def test_what_networks_hold_is_left_alone() -> None:
    step, told = make(Holds)
    step()
    assert not told


class EverySixteenth:
    """A penalty that counts, as lazy regularisation does."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        self.calls += 1
        return penalty(critic, real, fake)


def test_losses_that_count_do_not_count_the_trial() -> None:
    counting = EverySixteenth()
    make(D, counting)
    assert counting.calls == 0


class Broken(D):
    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        raise RuntimeError("needs 64x64")


def test_what_is_wrong_both_ways_is_said_by_the_step() -> None:
    step, told = make(Broken)
    assert not told
    with pytest.raises(RuntimeError, match="needs 64x64") as caught:
        step()
    assert "engine=plain" in caught.value.__notes__[0]


class Whole(D):
    """Takes no other batch than the run's."""

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        assert len(images) % 12 == 0
        return super().forward(images, labels)


def test_a_network_that_takes_whole_batches_is_given_one() -> None:
    trial = Trial(
        game=Game(
            gan=GAN(generator=G(), discriminator=Whole(through_a_view), z_dim=4),
            losses=Losses(d_loss=lambda real, fake: fake - real, g_loss=lambda fake, real: -fake),
        ),
        config=Train(batch_size=12),
        shape=(3, 8, 8),
        num_classes=0,
        device=CPU,
        passes="two",
    )
    assert trial.difference() == "something is written in place into a view of an image"


class Clamps(G):
    def middle(self, x: Tensor) -> Tensor:
        return through_a_view(x - 0.1)


class Scripted(G):
    def __init__(self) -> None:
        super().__init__()
        self.viewed = torch.jit.script(Viewed())

    def middle(self, x: Tensor) -> Tensor:
        return self.viewed(x)


@pytest.mark.parametrize("kind", [Clamps, Scripted])
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_generator_is_sampled_as_it_was_written(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = kind().eval()
    for layout in (torch.contiguous_format, torch.channels_last):
        laid_out = network.to(memory_format=layout)
        pixels, _ = next(generate(laid_out, 4, 5, labels=None, seed=0, batch_size=5, device=CPU))
        network.to(memory_format=torch.contiguous_format)
        seen: list[Tensor] = []
        wanted, _ = next(generate(Recorder(network, seen), 4, 5, labels=None, seed=0, batch_size=5, device=CPU))
        assert int((pixels.int() - wanted.int()).abs().max()) <= 1


class Recorder(nn.Module):
    """Has no weights of its own that could be laid out."""

    def __init__(self, network: nn.Module, seen: list[Tensor]) -> None:
        super().__init__()
        self.called = functools.partial(network.forward)
        self.seen = seen

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return self.called(z, labels)
