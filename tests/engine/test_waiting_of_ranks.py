"""What a rank waits for, and for how long."""

from __future__ import annotations

import datetime
import signal
import time
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
from ganzoo.engine.stopping import Stop, Stopped


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


def test_a_rank_that_is_told_to_end_waits_for_the_others_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchrun tells the others that one has died, and kills them half a minute later."""
    monkeypatch.setattr(group, "LAST_SECONDS", 0.05)
    stop = Stop(threads=True)
    one = Ranks(Place(rank=0, size=2, local=0), stop=stop)
    stop.requested = signal.SIGTERM
    with pytest.raises(RankLost, match="another of the 2 processes of this run has ended"):
        one.wait_until(lambda: False)


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


class Work:
    def __init__(self, waited: list[datetime.timedelta], lost_after: float | None = None, done: bool = True) -> None:
        self._waited, self._lost_after, self._done = waited, lost_after, done

    def is_completed(self) -> bool:
        return self._done

    def wait(self, timeout: datetime.timedelta) -> None:
        self._waited.append(timeout)
        if self._lost_after is not None:
            time.sleep(self._lost_after)
            raise RuntimeError("Connection closed by peer")


@pytest.mark.parametrize(("what", "said"), [(Order.TRAIN, "has ended"), (Order.ADVANCE, "has not answered for")])
def test_a_rank_that_dies_while_it_is_waited_for_patiently_has_ended(
    what: Order, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.distributed.all_reduce", lambda *arguments, **options: Work([], lost_after=0.1))
    one = ranks()
    one.timeout = 0.05
    with pytest.raises(RankLost, match=said):
        one._exchange(what, 0)


def test_the_leader_can_be_stopped_while_the_others_load_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.distributed.all_reduce", lambda *arguments, **options: Work([], done=False))
    stop = Stop(threads=True)
    stop.requested = signal.SIGINT
    one = Ranks(Place(rank=0, size=2, local=0), stop=stop)
    with pytest.raises(Stopped, match="stopped by SIGINT while other processes of the run load the images"):
        one._exchange(Order.TRAIN, 0)


@pytest.mark.parametrize(
    ("rank", "what", "patient"),
    [(0, Order.ADVANCE, False), (0, Order.BEGIN, False), (0, Order.TRAIN, True), (1, Order.ADVANCE, True)],
)
def test_the_leader_waits_for_an_answer_and_longer_for_images_to_be_loaded(
    rank: int, what: Order, patient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[datetime.timedelta] = []

    monkeypatch.setattr("torch.distributed.all_reduce", lambda *arguments, **options: Work(waited))
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
