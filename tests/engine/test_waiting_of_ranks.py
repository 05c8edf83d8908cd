"""What a rank waits for, and for how long."""

from __future__ import annotations

import datetime
from typing import Any

import combined
import pytest
import torch
from pretended import pretended_graphs

from ganzoo.engine.pace import marks
from ganzoo.engine.ranks import group
from ganzoo.engine.ranks.group import ALONE, Order, RankLost, Ranks
from ganzoo.engine.ranks.place import Place
from ganzoo.engine.step import Step


def ranks(rank: int = 0) -> Ranks:
    return Ranks(Place(rank=rank, size=2, local=rank))


def test_a_device_that_waits_for_another_rank_is_given_up() -> None:
    one = ranks()
    one.timeout = 0.05
    with pytest.raises(RankLost, match=r"of the 2 processes of this run has not answered for 0\.05 seconds"):
        one.wait_until(lambda: False)
    answers = iter([False, False, True])
    one.wait_until(lambda: next(answers))
    assert list(answers) == []


class Event:
    """Of CUDA: done a moment after it was recorded."""

    def __init__(self, **options: Any) -> None:
        self.asked = 0

    def record(self, stream: object) -> None:
        _events.append(self)

    def query(self) -> bool:
        self.asked += 1
        return self.asked > 3

    def synchronize(self) -> None:
        self.asked = -1


_events: list[Event] = []


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    _events.clear()
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    return torch.device("cuda")


def test_of_several_ranks_neither_marks_nor_ticks_wait_without_end(cuda: torch.device) -> None:
    mark = marks(cuda, ranks())
    assert mark is not None
    mark()()
    ranks().synchronize(cuda)
    assert [event.asked for event in _events] == [4, 4]
    alone = marks(cuda)
    assert alone is not None
    alone()()
    assert _events[-1].asked == -1


@pytest.mark.parametrize(
    ("rank", "what", "patient"),
    [(0, Order.ADVANCE, False), (0, Order.BEGIN, False), (0, Order.TRAIN, True), (1, Order.ADVANCE, True)],
)
def test_the_leader_waits_for_an_answer_and_longer_for_images_to_be_loaded(
    rank: int, what: Order, patient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[datetime.timedelta] = []

    class Work:
        def wait(self, timeout: datetime.timedelta) -> None:
            waited.append(timeout)

    monkeypatch.setattr("torch.distributed.all_reduce", lambda *arguments, **options: Work())
    one = ranks(rank)
    one.timeout = 7.0
    one._exchange(what, 0)
    assert waited == [group.PATIENCE if patient else datetime.timedelta(seconds=7)]


@pytest.mark.parametrize("several", [False, True])
def test_iterations_of_several_ranks_are_not_recorded(several: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combined, "Step", lambda **options: Step(**{**options, "graphs": "auto"}))
    with pretended_graphs() as made:
        step = combined.step_of("gan", ranks=ranks() if several else ALONE)
    assert len(made) == (0 if several else 1)
    assert step.longest == (1 if several else 4)
