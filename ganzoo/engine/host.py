"""What surrounds a run in its process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ganzoo.engine.cuda.concurrent import ALONE, Turn
from ganzoo.engine.ledger import Ledger
from ganzoo.engine.ranks.group import ALONE as ONE_RANK
from ganzoo.engine.ranks.group import Ranks
from ganzoo.engine.stopping import NEVER, Stop


def _nobody(text: str) -> None:
    """Is told, and does nothing."""


def _alone(images: int, seen: int) -> None:
    """As `_nobody`."""


@dataclass(frozen=True, kw_only=True)
class Host:
    ledger: Ledger = field(default_factory=Ledger)  # of the job's wall clock
    turn: Turn = ALONE  # the run's own, where several share the process and its device
    stop: Stop = NEVER  # of whoever handles signals; looked at after each step
    report: Callable[[str], None] = _nobody  # told in a line what has to be known of this run
    ranks: Ranks = ONE_RANK  # the processes of this run
    resumed: Callable[[int, int], None] = (
        _alone  # told of how many images the state is taken up, and how many were seen
    )
