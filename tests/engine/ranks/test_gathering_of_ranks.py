"""What a rank tells the leader at ticks, and which device it takes. The other rank is pretended: no processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from ganzoo.engine.ranks import gathering
from ganzoo.engine.ranks.gathering import Gathered, gather
from ganzoo.engine.ranks.group import Order, Ranks
from ganzoo.engine.ranks.place import Place
from ganzoo.errors import SettingError

CPU = torch.device("cpu")


class Follower(Ranks):
    """Of rank 1: keeps what it adds."""

    def __init__(self) -> None:
        super().__init__(Place(rank=1, size=2, local=1))
        self.added = torch.empty(0)

    def add(self, numbers: Tensor) -> Tensor:
        self.added = numbers
        return numbers


class Leader(Ranks):
    """The follower answers when the leader's numbers come, having drawn `more` random numbers than it."""

    def __init__(self, more: int, peak: int) -> None:
        super().__init__(Place(rank=0, size=2, local=0))
        self.more, self.peak, self.asked = more, peak, list[str]()

    def send(self, what: Order, data: bytes) -> None:
        assert what == Order.GATHER
        self._data = data

    def add(self, numbers: Tensor) -> Tensor:
        def take_out(names: Sequence[str]) -> Tensor:
            self.asked += names
            return torch.tensor([10.0, 20.0], dtype=torch.float64)

        follower = Follower()
        torch.rand(self.more)
        gathering.answer(follower, self._data, CPU, take_out, self.peak)
        return numbers + follower.added


def gathered(more: int, peak: int = 7) -> tuple[Gathered, list[str]]:
    leader = Leader(more, peak)
    found = gather(leader, ["d_loss", "g_loss"], CPU, torch.tensor([1.0, 2.0], dtype=torch.float64))
    return found, leader.asked


def test_sums_and_memory_come_together() -> None:
    found, asked = gathered(0, peak=3 << 30)
    assert asked == ["d_loss", "g_loss"]
    assert found.numbers.tolist() == [11.0, 22.0]
    assert found.peak == 3 << 30
    assert not found.drawn_apart


def test_ranks_that_drew_differently_are_told_of_and_brought_together() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    found, _ = gathered(5)
    assert found.drawn_apart
    assert torch.equal(torch.rand(2), expected)  # the follower goes on with the leader's
    found, _ = gathered(0)
    assert not found.drawn_apart


def ranks(local: int, size: int = 2) -> Ranks:
    return Ranks(Place(rank=local, size=size, local=local))


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(name: str) -> torch.device:
        return torch.device("cuda" if name == "auto" else name)

    monkeypatch.setattr("ganzoo.engine.ranks.group.resolve_device", resolved)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert ranks(1).device("auto").type == ranks(1).device("cuda").type == "cuda"
    assert ranks(5, 8).device("cpu").type == "cpu"
    with pytest.raises(SettingError, match="process 2 of this machine has no GPU of its own: there are 2") as caught:
        ranks(2, 3).device("auto")
    assert "--nproc-per-node 2" in caught.value.cure
    assert "LOCAL_RANK=0" in caught.value.cure  # srun --gpus-per-task=1


@pytest.mark.parametrize("name", ["cuda:1", "mps"])
def test_one_device_for_all_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(name: str) -> Any:
        return torch.device(name)

    monkeypatch.setattr("ganzoo.engine.ranks.group.resolve_device", resolved)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(SettingError, match=f"device '{name}' is one for all 2 processes"):
        ranks(0).device(name)
    assert ranks(0, 1).device(name) == torch.device(name)  # of one process there is nothing to refuse
