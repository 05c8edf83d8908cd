"""Images of finished runs: which ones `ganzoo sample` makes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ganzoo.engine.device import resolve_device
from ganzoo.errors import SettingError
from ganzoo.gan import Prior
from ganzoo.runs.codes import ChosenCodes, choose_codes
from ganzoo.runs.snapshots import LoadedSnapshot, load_snapshot
from ganzoo.runs.sources import Found, find_source
from ganzoo.runs.truncation import truncated
from ganzoo.scoring.generation import Inputs, generate_blocks, inputs_of
from ganzoo.scoring.noise import noise, slerp
from ganzoo.zoo.registry import Registry

MANY = 20
"""Classes shown where nobody has chosen; and named, where all would make a line that nobody reads."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Images that are not made yet: `count` of `inputs`, in grids of `columns`."""

    snapshot: LoadedSnapshot
    file: Path  # of the snapshot
    device: torch.device
    inputs: Inputs
    count: int
    columns: int
    classes: tuple[int, ...] = ()  # of the columns, or of the rows, which repeat; (): unconditional
    by_row: bool = False  # of an interpolation, or where a code is swept
    codes: ChosenCodes | None = None
    truncation: float | None = None

    def blocks(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The images, in order: uint8 `[B,C,H,W]` and their classes int64 `[B]` or None, on the CPU."""
        for pixels, labels in generate_blocks(self.snapshot.generator, self.inputs, self.count, device=self.device):
            yield pixels.cpu(), None if labels is None else labels.cpu()

    def class_name(self, label: int) -> str:
        """Its name, or its number where classes have no names."""
        names = self.snapshot.class_names
        return str(label) if names is None else names[label]

    def legend(self, grid: bool) -> str | None:
        """Which class is where, such as "columns: 0 cat, 1 dog" or "rows: 3, 7", and which codes and truncation were
        chosen; None where there is nothing to tell.
        """
        said = []
        if self.made:
            what = ("rows" if self.by_row else "columns") if grid else "classes"
            places = -(-self.count // self.columns) if self.by_row else self.columns
            what += " in turn" if grid and places > len(self.classes) else ""
            named = any(self.class_name(label) != str(label) for label in self.made)
            shown = [f"{label} {self.class_name(label)}" if named else str(label) for label in self.made]
            said.append(f"{what}: {', '.join(shown)}")
        if self.codes is not None:
            said.append(self.codes.legend(grid))
        if self.truncation is not None:
            said.append(f"truncation {self.truncation:g}")
        return "; ".join(said) or None

    @property
    def made(self) -> tuple[int, ...]:
        """The classes of which there are images: few images have not all of them."""
        return self.classes[: -(-self.count // self.columns) if self.by_row else self.count]


Labels = int | str | Sequence[int | str] | Tensor | None
"""Classes, which images take in turn: 3, "cat", "cat,3", [3, "cat"]. None: all of them, at most 20."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A snapshot from which images can be made."""

    snapshot: LoadedSnapshot
    file: Path  # of the snapshot
    device: torch.device
    conditional: bool

    def classes(self, labels: Labels) -> tuple[int, ...]:
        """Class numbers; () of an unconditional variant. Raises SettingError."""
        snapshot = self.snapshot
        if not self.conditional:
            if labels is not None:
                raise SettingError(
                    f"variant '{snapshot.config.variant.name}' takes no labels",
                    "leave --labels out, or use a conditional variant",
                )
            return ()
        if labels is None:
            return tuple(range(min(snapshot.num_classes, MANY)))
        parts = labels.tolist() if isinstance(labels, Tensor) else labels
        parts = [parts] if isinstance(parts, (str, int)) else parts
        if not isinstance(parts, Iterable):
            raise SettingError(f"labels are {labels!r}", "name classes by number or name, such as [0, 1]")
        found = [parse_labels(str(part), snapshot.num_classes, snapshot.class_names) for part in parts]
        if not any(found):
            raise SettingError("labels are empty", "leave them out for all classes, or name one")
        return tuple(label for classes in found for label in classes)


def open_source(registry: Registry, source: str | Found, *, kimg: float | None = None, device: str = "auto") -> Source:
    """Load what `find_source` finds.

    Raises:
        UserError: no such run or model, a damaged snapshot, a variant that is not there.
    """
    where = resolve_device(device)
    found = source if isinstance(source, Found) else find_source(registry, source, kimg)
    snapshot = load_snapshot(found.file, registry, where)
    conditional = registry.variant(snapshot.config.variant.name).conditional
    return Source(snapshot=snapshot, file=found.file, device=where, conditional=conditional)


def plan_samples(
    source: Source,
    *,
    count: int | None = None,
    labels: Labels = None,
    seed: int = 0,
    interpolate: tuple[int, int] | None = None,
    steps: int | None = None,
    codes: Mapping[int, float] | None = None,
    sweep: int | None = None,
    truncation: float | None = None,
) -> Samples:
    """Image i: noise i of `seed`, and for conditional variants the classes in turn, so that each has a column.

    Args:
        source: of the images.
        count: images; None: 64, or 8 per class, at least 16. Of an interpolation, or where a code is swept:
            rows; None: 8.
        labels: classes, taken in turn.
        seed: of the noise.
        interpolate: two seeds; row i leads from noise i of the first to noise i of the second, in `steps` images of one
            class.
        steps: images of such a row, or of a continuous code that is swept, at least 2; None: 8.
        codes: number of a structured code, from 1 -> its value in all images, see `choose_codes`.
        sweep: the code that takes its values along each row; None: the first that is not fixed, if `codes` are given.
        truncation: for generators that know how; None: they are called without.

    Raises:
        UserError: labels or codes that the variant does not have, or a generator that knows no truncation.
    """
    snapshot = source.snapshot
    name = snapshot.config.variant.name
    classes = source.classes(labels)
    if truncation is not None:
        snapshot = replace(snapshot, generator=truncated(snapshot.generator, truncation, name).eval())
    in_turn = torch.tensor(classes) if classes else None
    chosen = None
    if codes or sweep is not None:
        if interpolate is not None:
            raise SettingError("--interpolate changes all codes along a row", "leave --code and --sweep out, or it")
        chosen = choose_codes(snapshot.prior, name, codes or {}, sweep, steps)
    along = len(chosen.values) if chosen else 0  # images of a row that belong together; 0: each is for itself
    if interpolate is not None:
        if not isinstance(interpolate, (tuple, list)) or [type(seed) for seed in interpolate] != [int, int]:
            raise SettingError(f"interpolate is {interpolate!r}, not two seeds", "write interpolate=(0, 1)")
        along = steps or 8
        inputs = _interpolation(interpolate, snapshot.z_dim, along, in_turn, snapshot.prior)
    elif chosen is not None:
        inputs = chosen.inputs(seed, in_turn)
    else:
        inputs = inputs_of(seed, snapshot.z_dim, in_turn, snapshot.prior)
    if along:
        count, columns = (count or 8) * along, along
    else:
        count = count or (max(16, 8 * len(classes)) if classes else 64)
        columns = near_square(count, len(classes)) if classes else min(count, 10 if count > 64 else 8)
    return Samples(
        snapshot=snapshot,
        file=source.file,
        device=source.device,
        inputs=inputs,
        count=count,
        columns=columns,
        classes=classes,
        by_row=along > 0,
        codes=chosen,
        truncation=truncation,
    )


def near_square(count: int, classes: int) -> int:
    """Columns of a grid of `count` images whose classes take turns: each class has as many as make it nearest to
    square, so that a few classes make no tower.
    """

    def stretched(columns: int) -> float:
        return abs(math.log(columns / math.ceil(count / columns)))

    most = max(1, math.isqrt(count) // classes + 1)
    return min((classes * times for times in range(1, most + 1)), key=stretched)


def _interpolation(seeds: tuple[int, int], z_dim: int, steps: int, classes: Tensor | None, prior: Prior) -> Inputs:
    """Image i is step i % steps of row i // steps; `classes` take turns with the rows."""

    def inputs(numbers: Tensor) -> tuple[Tensor, Tensor | None]:
        row = numbers // steps
        first = int(row[0])
        from_, to = (noise(seed, first, int(row[-1]) - first + 1, z_dim) for seed in seeds)
        z = prior(slerp(from_, to, steps)[row - first, numbers % steps])  # between two of its values is one, too
        return z, None if classes is None else classes[row % len(classes)]

    return inputs


def parse_seeds(text: str) -> tuple[int, int]:
    """ "A:B" -> two whole numbers. Raises SettingError."""
    if not re.fullmatch(r"-?\d{1,18}:-?\d{1,18}", text, flags=re.ASCII):
        raise SettingError(f"--interpolate {text} are not two seeds", "write them as 0:1")
    first, last = text.split(":")
    return int(first), int(last)


def parse_labels(text: str, num_classes: int, names: Sequence[str] | None) -> tuple[int, ...]:
    """Class numbers of names and numbers, separated by commas. A name may have commas in it: the longest run of parts
    that is a name is one. What is the name of a class is that class, even where it looks like the number of another.

    Raises:
        SettingError: there is no such class; the cure lists them.
    """
    numbers = {name: number for number, name in reversed(list(enumerate(names or ())))}
    parts = text.split(",")
    found = []
    while parts:
        for length in range(len(parts), 0, -1):
            joined = ",".join(parts[:length])
            name = joined if joined in numbers else joined.strip()
            if name in numbers:
                found.append(numbers[name])
                break
        else:
            length, name = 1, parts[0].strip()
            if not re.fullmatch(r"\d{1,9}", name, flags=re.ASCII) or int(name) >= num_classes:
                shown = name if re.fullmatch(r"-?\d+", name) else f"'{name}'"
                meant = next((one for one in numbers if one.casefold() == name.casefold()), None)
                cure = f"did you mean {meant}?" if meant else f"classes are {_listed(num_classes, names)}"
                raise SettingError(f"there is no class {shown}", cure)
            found.append(int(name))
        del parts[:length]
    return tuple(found)


def _listed(num_classes: int, names: Sequence[str] | None) -> str:
    if names is None or all(name == str(number) for number, name in enumerate(names)):
        return f"0 to {num_classes - 1}"
    shown = ", ".join(f"{number} {name}" for number, name in list(enumerate(names))[:MANY])
    return shown if num_classes <= MANY else f"{shown} and so on to {num_classes - 1} {names[-1]}"
