"""Processes of one run, started as torchrun starts them, but sooner."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from torch.distributed import TCPStore

HERE = Path(__file__).parent

Process = subprocess.Popen[str]

_STORES: list[TCPStore] = []
"""They end with the last reference."""


class End(NamedTuple):
    code: int
    out: str
    errors: str


def start(*arguments: str, size: int = 2) -> list[Process]:
    """As many processes of `python ARGUMENTS`, with the environment that torchrun gives, and its store."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    _STORES.append(store)
    paths = os.pathsep.join([str(HERE / "engine"), str(HERE)])
    shared = {
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "PYTHONPATH": paths,
    }
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1", **shared, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in map(str, range(size))
    ]


def ended(*processes: Process, seconds: float) -> list[End]:
    """Once they are; none is left behind."""
    try:
        told = [process.communicate(timeout=seconds) for process in processes]
        return [End(process.returncode, *texts) for process, texts in zip(processes, told, strict=True)]
    finally:
        for process in processes:
            process.kill()
