"""What ranks do that do not lead: as they are told."""

from __future__ import annotations

from collections.abc import Callable

from ganzoo.engine.memory import MemoryMeter
from ganzoo.engine.ranks.gathering import answer
from ganzoo.engine.ranks.group import Order, Ranks
from ganzoo.engine.step import Step


def follow(
    ranks: Ranks, step: Step, score: Callable[[bytes], None] | None = None, memory: MemoryMeter | None = None
) -> None:
    """Obey the leader until it ends the run. `score`: is given what goes with an order to score; `memory`: is measured.

    Raises:
        RankLost: it has ended otherwise.
    """
    device = step.state.device
    memory = memory or MemoryMeter(device, alone=False)
    while True:
        order, number = ranks.next_order()
        if order == Order.TRAIN:
            step.state.take_over(ranks.receive(number))
            memory.reset()
        elif order == Order.ADVANCE:
            goal = step.state.step + number
            while step.state.step < goal:  # its graphs may be longer than ours
                step.advance(goal - step.state.step)
        elif order == Order.GATHER:
            answer(ranks, ranks.receive(number), device, step.statistics.take_out, memory.training_peak())
        elif order == Order.SCORE and score is not None:
            data = ranks.receive(number)
            with memory.scoring():
                score(data)
        elif order == Order.LEAVE:
            return
        else:
            raise AssertionError(order)
