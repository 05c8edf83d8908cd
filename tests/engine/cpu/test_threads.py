"""Small networks are trained by fewer threads than torch has, whatever the clock says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pretended
import pytest
import torch
from pretended import CPU, D, G, make_step
from torch import Tensor, nn
from torch.nn import functional as F

import ganzoo.__main__
from ganzoo.config.run_config import Train
from ganzoo.engine.cpu.threads import SHARE, SPINNING_SHARE, Products, threads, threads_for
from ganzoo.engine.game import Game
from ganzoo.engine.probes.trial import Trial
from ganzoo.gan import GAN
from ganzoo.objectives import Losses

LOSSES = Losses(d_loss=lambda real, fake: fake - real, g_loss=lambda fake, real: -fake)


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch has four threads, and nobody has said that it should, nor that they spin."""
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with threads(4):
        yield


class Watching(D):
    """Notes how many threads it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        self.seen.append(torch.get_num_threads())
        return super().forward(images, labels)


def product(discriminator: nn.Module, batch_size: int = 8) -> float | None:
    torch.manual_seed(0)
    gan = GAN(generator=G(), discriminator=discriminator, z_dim=3)
    game = Game(gan=gan, losses=LOSSES)
    trial = Trial(
        game=game, config=Train(batch_size=batch_size), shape=(1, 4, 4), num_classes=0, device=CPU, passes="two"
    )
    return trial.flop_per_product()


@pytest.mark.parametrize(("flop", "count"), [(0, 1), (1.9, 1), (2.1, 2), (3.5, 3), (1e9, 4)])
def test_a_thread_for_each_share_and_no_more_than_there_are(flop: float, count: int, four: None) -> None:
    assert threads_for(flop * SHARE) == count


def test_threads_that_spin_share_smaller_products(four: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for policy, count in (("passive", 1), ("ACTIVE", 3)):
        monkeypatch.setenv("OMP_WAIT_POLICY", policy)
        assert threads_for(3.1 * SPINNING_SHARE) == count
    monkeypatch.setenv("GOMP_SPINCOUNT", "0")  # which libgomp obeys first
    assert threads_for(3.1 * SPINNING_SHARE) == 1


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, ("passive", "0")),
        ({"OMP_WAIT_POLICY": "active"}, ("active", None)),  # libgomp would obey a number first
        ({"GOMP_SPINCOUNT": "1000"}, (None, "1000")),
    ],
)
def test_the_command_has_threads_sleep_unless_somebody_has_said_otherwise(
    said: dict[str, str], found: tuple[str | None, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
        if name in said:
            monkeypatch.setenv(name, said[name])
    monkeypatch.setattr(sys, "argv", ["ganzoo", "--version"])
    with pytest.raises(SystemExit):
        ganzoo.__main__._main()
    assert (os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT")) == found


def test_all_where_nothing_is_known_or_somebody_has_said_how_many(four: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads_for(None) == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads_for(0) == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "0")  # which OpenMP does not take either
    assert threads_for(0) == 1


def test_products_are_counted_by_their_shapes() -> None:
    a, x = torch.ones(3, 5, requires_grad=True), torch.ones(2, 3, 8, 8)
    with Products() as products:
        (torch.ones(7, 3) @ a).relu().sum().backward()  # a's gradient is one more
        F.conv2d(x, torch.ones(4, 3, 3, 3), padding=1)
    assert products.count == 3
    assert products.flop == 2 * (2 * 7 * 3 * 5) + 2 * (2 * 4 * 8 * 8) * 3 * 9


def test_a_step_has_its_threads_and_gives_them_back(four: None) -> None:
    step = make_step(None, critic=Watching)
    network = step.state.gan.discriminator
    assert isinstance(network, Watching)
    network.seen.clear()
    step()
    assert (step.threads, set(network.seen)) == (1, {1})
    assert torch.get_num_threads() == 4


def test_threads_are_given_back_after_an_error(four: None) -> None:
    with pytest.raises(ZeroDivisionError), threads(2):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 4


def test_a_run_goes_on_with_what_it_was_told_at_its_beginning(four: None) -> None:
    step = make_step(None)
    assert make_step(None, answers=step.answers).threads == 1
    assert step.answers.flop_per_product is not None
    with threads(1):
        alone = make_step(None)
    assert alone.answers.flop_per_product is None  # nothing to choose from
    assert make_step(None, answers=alone.answers).threads == 1  # of four, as if it had begun with them


def test_the_plain_engine_has_all(four: None) -> None:
    assert make_step(None, plain=True).threads == 4


def test_flop_are_those_of_the_runs_batch() -> None:
    of_eight = product(D())
    assert of_eight is not None
    assert of_eight > 2 * 8 * 16  # at least a logit of 16 pixels each
    assert product(D(), batch_size=64) == 8 * of_eight


def test_watching_leaves_networks_and_random_numbers_as_they_were() -> None:
    class Remembers(Watching):
        def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
            return super().forward(images, labels) * torch.rand(())

    torch.manual_seed(3)
    network = Remembers()
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    gan = GAN(generator=G(), discriminator=network, z_dim=3)
    trial = Trial(
        game=Game(gan=gan, losses=LOSSES), config=Train(batch_size=8), shape=(1, 4, 4), num_classes=0, device=CPU,
        passes="two",
    )  # fmt: skip
    before = torch.get_rng_state()
    assert trial.flop_per_product() is not None
    assert torch.equal(torch.get_rng_state(), before)
    assert network.seen == []
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


COMPILED = """
import pretended
import torch

torch.set_num_threads(2)
step = pretended.make_step(None, critic=lambda: torch.compile(pretended.D(), backend="eager"))
step()
again = pretended.make_step(
    None, critic=lambda: torch.compile(pretended.D(), backend="eager"), answers=step.answers
)
print(step.answers.flop_per_product, step.threads, again.threads)
"""


def test_what_is_compiled_has_all_threads() -> None:
    """A process of its own: others compile nothing."""
    path = os.pathsep.join([str(Path(pretended.__file__).parent), *sys.path])
    kept = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False, env=kept | {"PYTHONPATH": path}
    )
    assert (done.stdout, done.returncode) == ("None 2 2\n", 0), done.stderr


def test_a_network_that_cannot_be_watched_has_all_threads(four: None) -> None:
    class Shy(D):
        def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
            if torch.utils._python_dispatch.is_in_torch_dispatch_mode():
                raise RuntimeError("compiled")
            return super().forward(images, labels)

    step: Any = make_step(None, critic=Shy)
    step()
    assert (step.answers.flop_per_product, step.threads) == (None, 4)
