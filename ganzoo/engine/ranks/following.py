"""What ranks do that do not lead: as they are told."""

from __future__ import annotations

from collections.abc import Callable

from ganzoo.engine.ranks.group import Order, Ranks
from ganzoo.engine.step import Step


def follow(ranks: Ranks, step: Step, score: Callable[[bytes], None] | None = None) -> None:
    """Obey the leader until it ends the run. `score`: is given what goes with an order to score.

    Raises:
        RankLost: it has ended otherwise.
    """
    while True:
        order, number = ranks.next_order()
        if order == Order.TRAIN:
            step.state.take_over(ranks.receive(number))
        elif order == Order.ADVANCE:
            goal = step.state.step + number
            while step.state.step < goal:  # its graphs may be longer than ours
                step.advance(goal - step.state.step)
        elif order == Order.GATHER:
            ranks.add(step.statistics.take_out(ranks.receive(number).decode().splitlines()))
        elif order == Order.SCORE and score is not None:
            score(ranks.receive(number))
        elif order == Order.LEAVE:
            return
        else:
            raise AssertionError(order)
