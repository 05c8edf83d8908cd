"""One run in several processes beside the same run in one: images per second, and what an order to the others costs.

`python benchmarks/ranks.py` prints a Markdown table (`--json`: the rows as JSON). Without GPUs each of the
`--processes` has one thread; beside them, one process has as many threads as they are, and one. Each loop is started
once and timed in turn, `--rounds` times for `--seconds` each; a figure is the median of the rounds, so that a change of
the machine's load meets all. With GPUs, one process and one for each GPU are timed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.distributed import TCPStore

from ganzoo.config.layers import build_config
from ganzoo.data import make_images
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.device import denormals_flushed, resolve_precision, synchronize
from ganzoo.engine.ranks.following import follow
from ganzoo.engine.ranks.group import Order, joined
from ganzoo.engine.ranks.place import place_of
from ganzoo.engine.step import Answers, Step
from ganzoo.runs.environment import device_name
from ganzoo.runs.snapshots import build_gan
from ganzoo.zoo.registry import Registry

ORDERS = 300
"""Of which the median cost is told."""


@denormals_flushed()
def loop(variant: str, batch_size: int, sync: bool) -> None:
    """One process of a run. The leader reads seconds from stdin, and answers each with images per second; at the end
    it says the microseconds of an order.
    """
    registry = Registry.load(environ={})
    sets = [f"train.batch_size={batch_size}", f"train.sync_batch_norm={str(sync).lower()}"]
    config = build_config(registry, variant=variant, sets=sets)
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2000, 1, 32, 32), dtype=torch.uint8, generator=random)
    images = make_images(pixels, torch.arange(2000) % 10)
    with joined(place_of(os.environ)) as ranks:
        device = ranks.device("auto")
        if ranks.several:
            ranks.meet(device)
        torch.manual_seed(0)
        conditional = registry.variant(variant).conditional
        step = Step(
            gan=build_gan(registry, config, images.shape, images.num_classes),
            losses=registry.objective(config.objective.name).load()(config.objective.settings),
            sampler=make_sampler(images, batch_size=batch_size, device=device, seed=0, part=(ranks.rank, ranks.size)),
            config=config.train,
            num_classes=images.num_classes if conditional else 0,
            device=device,
            precision=resolve_precision("auto" if device.type == "cuda" else "fp32", device),
            answers=Answers(passes="two", different=None),
            ranks=ranks,
        )
        if not ranks.leads:
            follow(ranks, step)
            return
        step.share()
        for _ in range(12):
            step.advance(step.longest)
        print("ready", flush=True)
        for line in sys.stdin:
            synchronize(device)
            first, began = step.state.step, time.perf_counter()
            while time.perf_counter() - began < float(line):
                step.advance(step.longest)
            synchronize(device)
            print((step.state.step - first) * batch_size / (time.perf_counter() - began), flush=True)
        taken = []
        for _ in range(ORDERS):
            began = time.perf_counter()
            ranks.order(Order.ADVANCE, 0)
            taken.append(time.perf_counter() - began)
        print(statistics.median(taken) * 1e6 if ranks.several else 0.0, flush=True)


class Loop:
    """Processes of one run, with the environment that torchrun gives."""

    def __init__(self, processes: int, threads: int, arguments: list[str]) -> None:
        self._store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        shared = {
            **os.environ,
            **{name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")},
            "OMP_WAIT_POLICY": "passive",
            "GOMP_SPINCOUNT": "0",
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(self._store.port),
            "WORLD_SIZE": str(processes),
        }
        self._all = [
            subprocess.Popen(
                [sys.executable, str(Path(__file__)), "--loop", *arguments],
                env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdin=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
                stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
                text=True,
            )
            for rank in range(processes)
        ]
        self.rates: list[float] = []
        assert self._answer() == "ready"

    def _answer(self) -> str:
        out = self._all[0].stdout
        assert out is not None
        return out.readline().strip()

    def time(self, seconds: float) -> None:
        into = self._all[0].stdin
        assert into is not None
        into.write(f"{seconds}\n")
        into.flush()
        self.rates.append(float(self._answer()))

    def end(self) -> float:
        """Microseconds of an order."""
        into = self._all[0].stdin
        assert into is not None
        into.close()
        order = float(self._answer())
        for process in self._all:
            process.wait(60)
        return order


def measure(variant: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    arguments = [variant, str(options.batch_size)]
    n = options.processes
    kinds = {
        "one process": (1, 1, []),
        f"{n} processes": (n, 1, []),
        f"{n} processes, batch norm apart": (n, 1, ["--apart"]),
    }
    if not torch.cuda.is_available():
        kinds |= {f"one process, {n} threads": (1, n, [])}
    loops = {name: Loop(size, threads, [*arguments, *more]) for name, (size, threads, more) in kinds.items()}
    for _ in range(options.rounds):
        for one in loops.values():
            one.time(options.seconds)
    alone = loops["one process"].rates
    return [
        {
            "variant": variant,
            "how": name,
            "img_per_s": statistics.median(one.rates),
            "of one process": statistics.median(a / b for a, b in zip(one.rates, alone, strict=True)),
            "order_us": one.end(),
        }
        for name, one in loops.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", default="dcgan,sngan,gan")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--processes", type=int, default=max(2, torch.cuda.device_count()))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [row for variant in options.variants.split(",") for row in measure(variant, options)]
    if options.json:
        print(json.dumps({"device": device_name(torch.device("cpu")), "torch": torch.__version__, "rows": rows}))
        return
    print("| variant | how | img/s | of one process | an order |\n|---|---|---|---|---|")
    for row in rows:
        order = f"{row['order_us']:.0f} us" if row["order_us"] else ""
        print(f"| `{row['variant']}` | {row['how']} | {row['img_per_s']:.0f} | {row['of one process']:.2f} | {order} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--loop"]:
        loop(sys.argv[2], int(sys.argv[3]), sync="--apart" not in sys.argv)
    else:
        main()
