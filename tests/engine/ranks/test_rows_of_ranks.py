"""What each rank draws, put together, is what one process draws; no processes are needed to see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.engine.cpu.operations import Operations
from ganzoo.engine.ranks.rows import Rows

BATCH, SIZE = 12, 3
EACH = BATCH // SIZE
IMAGES = torch.rand(BATCH, 3, 4, 4, generator=torch.Generator().manual_seed(3))

Draw = Callable[[Tensor], Tensor]  # is given the rows that the process has, of `IMAGES`

DRAWS: dict[str, Draw] = {
    "randn": lambda x: torch.randn(len(x), 5),
    "randn of a list": lambda x: torch.randn([len(x), 1, 2]),
    "randn of size=": lambda x: torch.randn(size=(len(x), 2)),
    "rand": lambda x: torch.rand(len(x), 1, 1, 1),
    "randint": lambda x: torch.randint(0, 9, (len(x), 2)),
    "randint of size=": lambda x: torch.randint(9, size=(len(x),)),
    "randn_like": torch.randn_like,
    "randn_like, channels last": lambda x: torch.randn_like(x.to(memory_format=torch.channels_last)),
    "bernoulli of each": torch.bernoulli,
    "bernoulli_": lambda x: torch.empty_like(x).bernoulli_(0.4),
    "normal_": lambda x: torch.empty(len(x), 3).normal_(),
    "normal of two": lambda x: torch.normal(x, x),
    "multinomial": lambda x: torch.multinomial(x.flatten(1), 2),
    "gumbel": lambda x: F.gumbel_softmax(x.flatten(1)),
    "dropout": lambda x: F.dropout(x, 0.3),
    "dropout in place": lambda x: F.dropout(x.clone(), 0.3, inplace=True),
    "dropout of rows": lambda x: nn.Dropout(0.3)(x.flatten(1)),
    "dropout, channels last": lambda x: F.dropout(x.to(memory_format=torch.channels_last), 0.3),
    "dropout of channels": lambda x: F.dropout2d(x, 0.3),
    "alpha dropout": lambda x: F.alpha_dropout(x, 0.3, training=True),
}


def drawn(draw: Draw, given: Tensor, rank: int | None, operations: bool) -> tuple[Tensor, Tensor]:
    """What a process draws, and the state it leaves its generator in. None: the only process."""
    torch.manual_seed(11)
    inner = Operations(plain=False).usual if operations else Rows(rank=0, size=1, rows=10**9)
    if rank is None:
        with inner:
            return draw(given), torch.get_rng_state()
    with Rows(rank=rank, size=SIZE, rows=EACH), inner:
        return draw(given), torch.get_rng_state()


@pytest.mark.parametrize("operations", [False, True], ids=["torch's", "ours"])
@pytest.mark.parametrize("name", DRAWS)
def test_ranks_draw_the_rows_of_one_process(name: str, operations: bool) -> None:
    whole, after = drawn(DRAWS[name], IMAGES, None, operations)
    for rank in range(SIZE):
        rows = slice(rank * EACH, (rank + 1) * EACH)
        own, state = drawn(DRAWS[name], IMAGES[rows], rank, operations)
        assert torch.equal(own, whole[rows])
        assert torch.equal(state, after)
        assert own.stride() == whole[rows].contiguous(memory_format=_format(whole)).stride()


def _format(tensor: Tensor) -> Any:
    last = tensor.ndim == 4 and not tensor.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


@pytest.mark.parametrize("name", ["dropout", "randn_like"])
def test_both_halves_of_a_joint_pass_have_theirs(name: str) -> None:
    """Real images of all ranks, then generated ones: `[2, ranks, rows]`."""
    whole, _ = drawn(DRAWS[name], torch.cat([IMAGES, 1 - IMAGES]), None, True)
    for rank, (real, fake) in enumerate(zip(IMAGES.split(EACH), (1 - IMAGES).split(EACH), strict=True)):
        own, _ = drawn(DRAWS[name], torch.cat([real, fake]), rank, True)
        expected = torch.cat([half.split(EACH)[rank] for half in whole.chunk(2)])
        assert torch.equal(own, expected)


@pytest.mark.parametrize(
    "draw", [lambda x: torch.rand(()), lambda x: torch.rand(EACH - 1, EACH)], ids=["one", "others"]
)
def test_all_else_is_the_same_on_all_ranks(draw: Draw) -> None:
    found = [drawn(draw, IMAGES, rank, False)[0] for rank in (None, *range(SIZE))]
    assert all(torch.equal(one, found[0]) for one in found)


def test_gradients_pass_through_what_is_dropped() -> None:
    """In `dropout2d` the other ranks' rows stand beside this rank's: they must not add to its gradient."""
    for draw in (F.dropout2d, F.dropout, F.alpha_dropout):
        x = IMAGES[:EACH].clone().requires_grad_()
        torch.manual_seed(0)
        with Rows(rank=0, size=SIZE, rows=EACH):
            out = draw(x, 0.5, training=True)  # type: ignore[operator]
        (gradient,) = torch.autograd.grad(out.sum(), x)
        kept = (out != out.min()) if draw is F.alpha_dropout else out != 0
        assert torch.equal(gradient != 0, kept)
