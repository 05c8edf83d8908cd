"""What is scored: the same noise whatever the batch size, and a model left as it was."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganzoo.scoring.generation import BLOCK, generate
from ganzoo.scoring.noise import noise

CPU = torch.device("cpu")


class Spy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(7)
        self.seen: list[Tensor] = []

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        self.seen.append(z)
        assert not self.training
        return torch.tanh(self.norm(z)).view(-1, 1, 7, 1).expand(-1, 1, 7, 7)


def seen(batch_size: int) -> tuple[Tensor, Tensor]:
    spy = Spy()
    labels = torch.arange(530) % 10
    batches = list(generate(spy, 7, 530, labels=labels, seed=5, batch_size=batch_size, device=CPU))
    assert [len(pixels) for pixels, _ in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert all(pixels.dtype == torch.uint8 for pixels, _ in batches)
    asked = torch.cat([part for _, part in batches if part is not None])
    assert torch.equal(asked, labels)
    assert {len(z) for z in spy.seen} == {BLOCK}  # the last one is made in full as well
    return torch.cat(spy.seen)[:530], torch.cat([pixels for pixels, _ in batches])


def test_image_i_gets_the_same_noise_whatever_the_batch_size() -> None:
    whole = seen(530)
    assert whole[1].shape == (530, 1, 7, 7)
    for batch_size in (1, 33, 250, 500):
        for ours, theirs in zip(seen(batch_size), whole, strict=True):
            assert torch.equal(ours, theirs)
    assert torch.equal(noise(5, 0, 530, 7), whole[0])
    assert not torch.equal(noise(6, 0, 530, 7), whole[0])


def test_generating_leaves_modes_buffers_and_random_state() -> None:
    spy = Spy().train()
    spy.norm.eval()
    buffers = {name: buffer.clone() for name, buffer in spy.named_buffers()}
    state = torch.get_rng_state()
    for _ in generate(spy, 7, 20, labels=None, seed=0, batch_size=8, device=CPU):
        pass
    assert spy.training
    assert not spy.norm.training
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in spy.named_buffers())
    assert torch.equal(torch.get_rng_state(), state)
