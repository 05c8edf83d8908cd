"""How adaptive augmentation finds its probability p."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import Tensor

from ganzoo_augment.ada import Ada


def make(p: float = 0.0, *, target: float = 0.6, kimg: float | None = 500.0) -> Ada:
    return Ada(pipeline="bgc", target=target, kimg=kimg, p=p)


@torch.no_grad()
def updates(module: Ada, n: int, logits: Tensor) -> list[float]:
    probabilities = []
    for _ in range(n):
        module.update(logits)
        probabilities.append(module.p.item())
    return probabilities


def test_p_moves_in_each_fourth_update_by_its_images() -> None:
    step = 4 * 50 / 500_000
    assert updates(make(), 9, torch.ones(50)) == pytest.approx([0, 0, 0, step, step, step, step, 2 * step, 2 * step])
    assert updates(make(0.5), 4, -torch.ones(50)) == pytest.approx([0.5, 0.5, 0.5, 0.5 - step])


@torch.no_grad()
def test_batches_of_any_sizes_count_by_their_images() -> None:
    module = make(0.5)
    for n, sign in ((100, 1), (10, -1), (30, 1), (60, 1)):  # mean sign (190 - 10) / 200 = 0.9
        module.update(sign * torch.rand(n).add(0.1))
    assert module.p.item() == pytest.approx(0.5 + 200 / 500_000)


@pytest.mark.parametrize(("positive", "moves"), [(79, -1), (80, 0), (81, 1), (100, 1), (0, -1)])
def test_the_mean_sign_is_held_to_the_target(positive: int, moves: int) -> None:
    logits = torch.full((100,), -0.01)
    logits[:positive] = 7.0  # 80 of 100 positive: mean sign 0.6
    assert updates(make(0.5), 4, logits)[-1] == pytest.approx(0.5 + moves * 400 / 500_000, abs=1e-7)


@pytest.mark.parametrize("kimg", [0.4, 2.0])
def test_from_0_to_1_in_so_many_images_and_no_further(kimg: float) -> None:
    module = make(kimg=kimg)
    n = round(kimg * 1000 / 10)
    there = updates(module, n, torch.ones(10))
    assert there[n - 5] < 1 - 1e-3
    assert there[-1] == pytest.approx(1, abs=1e-5)
    assert max(updates(module, 40, torch.ones(10))) == 1
    back = updates(module, n, -torch.ones(10))
    assert back[n - 5] > 1e-3
    assert back[-1] == pytest.approx(0, abs=1e-5)
    assert min(updates(module, 40, -torch.ones(10))) == 0


@pytest.mark.parametrize("start", [0.0, 1.0])
@torch.no_grad()
def test_p_goes_where_the_mean_sign_is_the_target(start: float) -> None:
    module = make(start, kimg=10.0)
    for _ in range(600):
        # A discriminator that is right about real images the less, the more they are augmented: 0.6 at p = 0.4.
        right = (torch.linspace(0, 1, 50) < 1 - 0.5 * module.p).float()
        module.update(2 * right - 1)
    assert module.p.item() == pytest.approx(0.4, abs=2 * 200 / 10_000 + 0.02)


def test_a_fixed_p_stays() -> None:
    module = make(0.3, kimg=None)
    assert updates(module, 9, torch.ones(50)) == pytest.approx([0.3] * 9)


@pytest.mark.parametrize("after", [1, 3, 4, 6])
def test_state_is_continued_exactly(after: int) -> None:
    torch.manual_seed(0)
    batches = list(torch.randn(30, 16) + 0.8)
    whole = make(0.5, kimg=1.0)
    for logits in batches[:after]:
        updates(whole, 1, logits)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    loaded, copied = make(0.9, kimg=1.0), copy.deepcopy(whole)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    expected = [updates(whole, 1, logits)[0] for logits in batches[after:]]
    assert len(set(expected)) > 2
    for other in (loaded, copied):
        assert [updates(other, 1, logits)[0] for logits in batches[after:]] == expected
        assert all(torch.equal(a, b) for a, b in zip(other.buffers(), whole.buffers(), strict=True))
    images = torch.randn(5, 3, 8, 8)
    torch.manual_seed(1)
    result = whole(images)
    torch.manual_seed(1)
    assert torch.equal(loaded(images), result)


def test_the_state_is_four_buffers() -> None:
    assert set(make().state_dict()) == {"p", "signs", "seen", "updates"}
