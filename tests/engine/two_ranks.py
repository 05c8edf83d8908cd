"""One of the two processes of test_two_ranks.py, as torchrun would start it: `python two_ranks.py FOLDER CASE...`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from combined import CPU, everything, step_of
from pretended import Pretended

from ganzoo.engine.ranks.following import follow
from ganzoo.engine.ranks.group import Order, joined
from ganzoo.engine.ranks.place import place_of
from ganzoo.engine.step import Step

STEPS = 20


def calm(rate: str = "5e-4") -> list[str]:
    return ["train.optimizer=sgd", f"train.g_lr={rate}", f"train.d_lr={rate}"]


CALM = calm()
"""Adam divides by the size of a gradient: where that is 0 but for rounding, such as of a bias before batch norm, it
makes whole steps of the rounding. And where a number falls to the other side of a rectifier's kink, once in some
hundred thousand, the difference is a gradient: it shows less at a small learning rate.
"""

CASES: dict[str, dict[str, Any]] = {
    "gan": {"variant": "gan"},  # dropout
    "dcgan": {"variant": "dcgan", "sets": CALM},  # batch norm
    "apart": {"variant": "dcgan", "sets": [*CALM, "train.sync_batch_norm=false"]},  # over each rank's part
    "wgan-gp": {"variant": "wgan-gp"},  # a penalty on gradients, several steps of D
    "wgan": {"variant": "wgan", "sets": ["train.d_steps=2", *CALM]},
    "cdcgan": {"variant": "cdcgan", "sets": CALM},
    "infogan": {"variant": "infogan", "sets": CALM},  # a part with weights of its own
    "began": {"variant": "began", "sets": CALM},  # a memory
    "augmented": {"variant": "gan", "augment": "diffaug,flip", "regularize": "r1,cr", "sets": CALM},
    "bigan": {"variant": "bigan", "sets": CALM},
    "acgan": {"variant": "acgan", "sets": CALM},
    "adcgan": {"variant": "adcgan", "sets": CALM},
    "sngan": {"variant": "sngan", "sets": CALM},
    "sngan-resnet": {"variant": "sngan-resnet", "sets": CALM},
    "cgan-pd": {"variant": "cgan-pd", "sets": CALM},
    "sagan": {"variant": "sagan", "sets": calm("2e-4")},
    "logan": {"variant": "logan", "sets": CALM},
    "r3gan": {"variant": "r3gan", "sets": CALM},
    "tacgan": {"variant": "tacgan", "sets": CALM},
    "upsample-dcgan": {"variant": "upsample-dcgan", "sets": CALM},
    "vaegan": {"variant": "vaegan", "sets": CALM},
}


REPLAYED = ("wgan",)
"""By pretended graphs of several steps, with the all-reduces in them."""


def trained(step: Step) -> dict[str, Any]:
    """Weights, buffers, statistics and the generator's state after `STEPS` steps; the leader's, or one process's."""
    begun = everything(step)
    while step.state.step < STEPS:
        step.advance(STEPS - step.state.step)
    if step.longest > 1:
        assert step.execution == "graphs"
    step.gather()
    return {"begun": begun, **known(step), "statistics": step.statistics.read()}


def known(step: Step) -> dict[str, Any]:
    return {"weights": everything(step), "random": torch.get_rng_state()}


def main(folder: Path, names: list[str]) -> None:
    with joined(place_of(os.environ)) as ranks:
        ranks.meet(CPU, 60.0)
        for name in names:
            step = step_of(**CASES[name], backend=Pretended() if name in REPLAYED else None, batch_size=8, ranks=ranks)
            if ranks.leads:
                step.share()
                found = trained(step)
                ranks.order(Order.LEAVE)  # this step, for `follow`
            else:
                torch.manual_seed(99)  # nothing of its own counts
                follow(ranks, step)
                found = known(step)
            torch.save(found, folder / f"{name}.{ranks.rank}.pt")
        if not ranks.leads:
            ranks.next_order()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
