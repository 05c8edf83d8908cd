"""TrainState names, once, everything that survives a restart."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ganzoo.config.run_config import difference
from ganzoo.engine.device import random_state, set_random_state
from ganzoo.engine.journal import Journal
from ganzoo.engine.ledger import PARTS, wall_seconds
from ganzoo.engine.phases import Phase
from ganzoo.engine.statistics import Statistics
from ganzoo.errors import RunError
from ganzoo.files.reading import MIB, WEIGHTS_BYTES, Unreadable, check_archive, read_inside
from ganzoo.files.writing import seal_holds, sealed, write_atomic
from ganzoo.gan import GAN

SCHEMA = 2
"""Version of a state. 1: of earlier versions, without a digest and without the identity of its run; still read."""


@dataclass(kw_only=True)
class TrainState:
    gan: GAN
    ema: nn.Module  # the averaged generator
    phases: list[Phase]  # their optimizers
    device: torch.device  # its random generators
    kept: dict[str, nn.Module] = field(default_factory=dict)  # further networks, memories: see Game.kept
    identity: dict[str, Any] = field(default_factory=dict)  # flat: the run's settings, digests of images and init
    step: int = 0  # counts batches of real images, and is the position in the data
    seconds: float = 0.0  # of training, scoring and saving not counted
    spent: dict[str, float] = field(default_factory=dict)  # seconds of the whole job, by part, over all its starts
    snapshot: int = 0  # how many snapshots have been taken, the untrained one not counted
    snapshot_step: int = -1  # the step of the last one
    statistics: Statistics | None = None  # of the tick that has begun; None: not kept
    tick_step: int = 0  # where that tick began
    tick_seconds: float = 0.0
    keeps_latest: bool = (
        True  # False: the latest saved state cannot be used, and must not take the place of the one before
    )

    def _document(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "run": self.identity,
            "generator": self.gan.generator.state_dict(),
            "discriminator": self.gan.discriminator.state_dict(),
            "ema": self.ema.state_dict(),
            **({"kept": {name: one.state_dict() for name, one in self.kept.items()}} if self.kept else {}),
            "optimizers": {phase.name: phase.optimizer.state_dict() for phase in self.phases},
            "random": random_state(self.device),
            "step": self.step,
            "seconds": self.seconds,
            "wall_seconds": wall_seconds(self.spent),
            "spent": {part: taken for part, taken in self.spent.items() if part not in ("train", "rest")},
            "snapshot": self.snapshot,
            "snapshot_step": self.snapshot_step,
            "tick": {
                "step": self.tick_step,
                "seconds": self.tick_seconds,
                "statistics": None if self.statistics is None else self.statistics.state(),
            },
        }

    def handed_on(self) -> bytes:
        """All of it but the statistics, for another rank of the run."""
        document = self._document()
        document["tick"]["statistics"] = None
        buffer = io.BytesIO()
        torch.save(document, buffer)
        return buffer.getvalue()

    def take_over(self, data: bytes) -> None:
        """Become what another rank has `handed_on`."""
        self._restore(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))

    def save(self, run: Journal) -> None:
        """Write state/latest.pt, with its SHA-256; the one before is kept as state/previous.pt."""
        buffer = io.BytesIO()
        torch.save(self._document(), buffer)

        def write(temporary: Path) -> None:
            temporary.write_bytes(sealed(buffer.getbuffer()))
            if self.keeps_latest and run.state_file.exists():
                os.replace(run.state_file, run.previous_state_file)

        write_atomic(run.state_file, write)
        self.keeps_latest = True

    def load(self, run: Journal, report: Callable[[str], None] = lambda text: None) -> bool:
        """Take the newest state that is whole and of this run; False when there is none, because the run has not begun.
        `report` is told, in a line, of a newer one that is not.

        Raises:
            RunError: there are states, and none of them can be used, or the networks are others.
        """
        problems: list[str] = []
        for file in (run.state_file, run.previous_state_file):
            if not os.path.lexists(file):
                continue
            document, problem = read_state(file, state_limit(self.gan, self.kept.values()))
            if document is not None:
                problem = self._foreign(document.get("run", {}))
            if document is None or problem:
                problems.append(f"{file.parent.name}/{file.name} {problem}")
                continue
            try:
                self._restore(document)
            except Exception as error:  # of a file that holds anything: torch raises what it happens to run into
                raise RunError(
                    f"{run.path} cannot be continued: its saved state is not of these networks "
                    f"({(str(error).splitlines() or [type(error).__name__])[-1].strip()})",
                    "choose another --out; the variant's code has changed since the run began",
                ) from error
            self.keeps_latest = file == run.state_file
            if problems:
                report(f"{'; '.join(problems)}: continued from {file.parent.name}/{file.name}, saved before it")
            return True
        if problems:
            raise RunError(
                f"{run.path} cannot be continued: {'; '.join(problems)}",
                f"start again with another --out; --init {run.path} starts from its last snapshot",
            )
        return False

    def _foreign(self, theirs: Mapping[str, Any]) -> str:
        """How a state's run differs from this one, "" where it does not. What only one of them says is not compared:
        earlier versions had fewer settings, or said nothing.
        """
        both = self.identity.keys() & theirs.keys()
        lines = difference({k: self.identity[k] for k in both}, {k: theirs[k] for k in both})
        return f"is of another run ({'; '.join(lines)})" if lines else ""

    def _restore(self, document: dict[str, Any]) -> None:
        self.gan.generator.load_state_dict(document["generator"])
        self.gan.discriminator.load_state_dict(document["discriminator"])
        self.ema.load_state_dict(document["ema"])
        theirs = document.get("kept", {})
        if theirs.keys() != self.kept.keys():
            raise ValueError(f"it holds {', '.join(theirs) or 'nothing'} beside G and D")
        for name, module in self.kept.items():
            module.load_state_dict(theirs[name])
        for phase in self.phases:
            _restore_optimizer(phase.optimizer, document["optimizers"][phase.name])
        self.step, self.seconds = document["step"], document["seconds"]
        self.spent = {"train": self.seconds, **document.get("spent", {})}
        # States of earlier versions do not say what the rest of their time was spent on, or that there was any.
        self.spent["rest"] = max(0.0, document.get("wall_seconds", 0.0) - wall_seconds(self.spent))
        self.snapshot, self.snapshot_step = document["snapshot"], document["snapshot_step"]
        tick = document.get("tick") or {}  # states of earlier versions were saved at the ends of ticks
        self.tick_step, self.tick_seconds = tick.get("step", self.step), tick.get("seconds", self.seconds)
        if self.statistics is not None and tick.get("statistics"):
            self.statistics.restore(tick["statistics"])
        set_random_state(document["random"], self.device)


def _restore_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """How the steps are computed is ours, whatever device or version wrote the state; with it goes where torch puts the
    step counts, which a CUDA graph must find on the device.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, kept in saved["state"].items():
        for name, value in kept.items():
            if isinstance(value, torch.Tensor) and value.ndim and value.shape != parameters[number].shape:
                raise ValueError(f"{name} of parameter {number} is {list(value.shape)}")
    groups = [
        {
            **theirs,
            **{name: ours[name] for name in ("lr", "initial_lr", "foreach", "fused", "capturable") if name in ours},
        }
        for theirs, ours in zip(saved["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({**saved, "param_groups": groups})


def state_limit(gan: GAN, kept: Iterable[nn.Module]) -> int:
    """The most bytes that a state of these networks, with what is `kept` beside G and D, has: 4 times G and 3 times the
    others with Adam's moments, and some more.
    """
    modules = (gan.generator, gan.discriminator, *kept)
    tensors = [tensor for module in modules for tensor in module.state_dict().values()]
    return 64 * MIB + 8 * sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def read_state(file: Path, limit: int = WEIGHTS_BYTES) -> tuple[dict[str, Any] | None, str]:
    """The document of a saved state, or None and what is wrong with the file, as the end of a sentence. `limit`: of its
    size in bytes.
    """
    try:
        data = read_inside(file.parent.parent, f"{file.parent.name}/{file.name}", limit)
        holds = seal_holds(data)
        if holds is False:
            return None, "is damaged (its SHA-256 is another)"
        check_archive(data)
        document = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None, "does not exist"
    except Unreadable as error:
        return None, f"is damaged (it {error})"
    except Exception:  # a damaged file can raise nearly anything in torch
        return None, "is damaged"
    schema = document.get("schema") if isinstance(document, dict) else None
    if type(schema) is not int or schema not in (1, SCHEMA):
        return None, "is no state of this version"
    if schema == SCHEMA and holds is None:
        return None, "is damaged (its SHA-256 is missing)"
    wrong = [key for key, kind in _FIELDS.items() if not isinstance(document.get(key, _EARLIER.get(key)), kind)]
    wrong = wrong or _wrong_within(document)
    if wrong:
        return None, f"is damaged (its field {wrong[0]})"
    return document, ""


def _wrong_within(document: dict[str, Any]) -> list[str]:
    """Fields that are not what they should be all the way down."""
    plain = (str, int, float, type(None))
    tick = document.get("tick", {})
    statistics = tick.get("statistics") or {}
    spent = document.get("spent", {})
    numbers = [document["seconds"], document.get("wall_seconds", 0.0), tick.get("seconds", 0.0), *spent.values()]
    counts = [document["step"], document["snapshot"], tick.get("step", 0), document["snapshot_step"] + 1]
    sound = {
        "run": all(isinstance(value, plain) for value in document.get("run", {}).values()),
        **{name: _are_tensors(document[name]) for name in ("generator", "discriminator", "ema", "random")},
        "kept": all(isinstance(key, str) and _are_tensors(value) for key, value in document.get("kept", {}).items()),
        "seconds": all(type(value) in (int, float) and 0 <= value < 1e12 for value in numbers),
        "spent": spent.keys() <= set(PARTS) - {"train", "rest"},
        "step": all(type(value) is int and 0 <= value < 10**15 for value in counts),
        "optimizers": all(isinstance(value, dict) for value in document["optimizers"].values()),
        "tick": isinstance(statistics, dict)
        and (not statistics or statistics.keys() == {"sums", "counted"})
        and _are_tensors(statistics.get("sums", {}))
        and all(type(count) is int for count in dict(statistics.get("counted", {})).values()),
    }
    return [name for name, well in sound.items() if not well] or ([] if _stored(document) else ["the size of a tensor"])


def _are_tensors(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(value, torch.Tensor) for value in found.values())


def _stored(value: Any) -> bool:
    """Whether every tensor holds as many numbers as it has: one that is expanded takes memory when it is copied."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    if isinstance(value, dict):
        return all(map(_stored, value.values()))
    return all(map(_stored, value)) if isinstance(value, (list, tuple)) else True


_FIELDS: dict[str, type | tuple[type, ...]] = {
    "run": dict,
    "generator": dict,
    "discriminator": dict,
    "ema": dict,
    "kept": dict,
    "optimizers": dict,
    "random": dict,
    "step": int,
    "seconds": (int, float),
    "wall_seconds": (int, float),
    "spent": dict,
    "snapshot": int,
    "snapshot_step": int,
    "tick": dict,
}

_EARLIER: dict[str, Any] = {"run": {}, "kept": {}, "wall_seconds": 0.0, "spent": {}, "tick": {}}
"""What states of earlier versions lack."""
