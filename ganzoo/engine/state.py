"""TrainState names, once, everything that survives a restart."""

from __future__ import annotations

import io
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ganzoo.engine.device import random_state, set_random_state
from ganzoo.engine.phases import Phase
from ganzoo.errors import RunError
from ganzoo.files import write_atomic
from ganzoo.gan import GAN
from ganzoo.runs import RunDirectory

SCHEMA = 1


@dataclass(kw_only=True)
class TrainState:
    gan: GAN
    ema: nn.Module  # the averaged generator
    phases: list[Phase]  # their optimizers
    device: torch.device  # its random generators
    step: int = 0  # counts batches of real images, and is the position in the data
    seconds: float = 0.0  # of training, scoring and saving not counted
    wall_seconds: float = 0.0  # of the whole job until this was saved, over all its starts
    snapshot: int = 0  # how many snapshots have been taken, the untrained one not counted
    snapshot_step: int = -1  # the step of the last one

    def save(self, run: RunDirectory) -> None:
        """Write state/latest.pt; the one before is kept as state/previous.pt."""
        document = {
            "schema": SCHEMA,
            "generator": self.gan.generator.state_dict(),
            "discriminator": self.gan.discriminator.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizers": {phase.name: phase.optimizer.state_dict() for phase in self.phases},
            "random": random_state(self.device),
            "step": self.step,
            "seconds": self.seconds,
            "wall_seconds": self.wall_seconds,
            "snapshot": self.snapshot,
            "snapshot_step": self.snapshot_step,
        }

        buffer = io.BytesIO()
        torch.save(document, buffer)

        def write(temporary: Path) -> None:
            temporary.write_bytes(buffer.getbuffer())
            if run.state_file.exists():
                os.replace(run.state_file, run.previous_state_file)

        write_atomic(run.state_file, write)

    def load(self, run: RunDirectory) -> bool:
        """Take the newest readable state; False when there is none, because the run has not begun.

        Raises:
            RunError: there are states, and none of them can be read, or the networks are others.
        """
        files = [file for file in (run.state_file, run.previous_state_file) if file.exists()]
        for file in files:
            document = _read(file)
            if document is not None:
                try:
                    self._restore(document)
                except (RuntimeError, ValueError, KeyError) as error:
                    raise RunError(
                        f"{run.path} cannot be continued: its saved state is not of these networks "
                        f"({str(error).splitlines()[-1].strip()})",
                        "choose another --out; the variant's code has changed since the run began",
                    ) from error
                return True
        if files:
            raise RunError(
                f"{run.path} cannot be continued: its saved state is damaged", "delete the run and start again"
            )
        return False

    def _restore(self, document: dict[str, Any]) -> None:
        self.gan.generator.load_state_dict(document["generator"])
        self.gan.discriminator.load_state_dict(document["discriminator"])
        self.ema.load_state_dict(document["ema"])
        for phase in self.phases:
            _restore_optimizer(phase.optimizer, document["optimizers"][phase.name])
        self.step, self.seconds = document["step"], document["seconds"]
        self.wall_seconds = document.get("wall_seconds", self.seconds)  # states of earlier versions have none
        self.snapshot, self.snapshot_step = document["snapshot"], document["snapshot_step"]
        set_random_state(document["random"], self.device)


def _restore_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """How the steps are computed is ours, whatever device or version wrote the state; with it goes where torch puts the
    step counts, which a CUDA graph must find on the device.
    """
    groups = [
        {**theirs, **{name: ours[name] for name in ("foreach", "fused", "capturable") if name in ours}}
        for theirs, ours in zip(saved["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({**saved, "param_groups": groups})


def _read(file: Path) -> dict[str, Any] | None:
    try:
        document = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        return None  # cut short or overwritten: the state before it takes its place
    return document if isinstance(document, dict) and document.get("schema") == SCHEMA else None
