"""Our metrics beside implementations that no one here wrote, on identical inputs.

`python benchmarks/parity.py` prints a Markdown table, with `--json` the same rows as JSON, and exits with 1 when a row
does not hold; `tests/parity` checks the same rows. Where a library differs by design, one row shows by how much, and
another that ours gives its number once it is done its way.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial

import torch
from parity_references import (
    DoesNotRun,
    Pair,
    fidelity_inception,
    fidelity_registered,
    prdc_package,
    pytorch_fid,
    torchmetrics_custom,
    torchmetrics_inception,
)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One row. `library`: name of the distribution; `pair`: makes the numbers of this row and its siblings, and
    remembers them; `key`: which of them; `tolerance`: the largest relative difference, or, where the library `differs`
    by design, one that it must exceed.
    """

    metric: str
    library: str
    pair: Callable[[], Pair]
    key: str
    note: str
    tolerance: float = 1e-4
    differs: bool = False

    @property
    def name(self) -> str:
        return f"{self.library}-{self.metric}-{self.key}-{self.pair.__name__}"

    def measure(self) -> Row:
        """Compute both numbers."""
        ours = theirs = difference = None
        note, good = self.note, True
        try:
            our_numbers, their_numbers = self.pair()
        except DoesNotRun as reason:
            note = f"does not run: {reason}"
        else:
            ours, theirs = our_numbers[self.key], their_numbers[self.key]
            difference = relative_difference(ours, theirs)
            good = difference > self.tolerance if self.differs else difference <= self.tolerance  # NaN is neither
        return Row(
            metric=self.metric,
            reference=f"{self.library} {importlib.metadata.version(self.library)}",
            ours=ours,
            theirs=theirs,
            difference=difference,
            tolerance=f"{'more than' if self.differs else 'at most'} {self.tolerance:.0e}",
            holds=good,
            note=note,
        )


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is printed. The numbers are None where the library does not run, and the note says why."""

    metric: str
    reference: str
    ours: float | None
    theirs: float | None
    difference: float | None
    tolerance: str
    holds: bool
    note: str


def relative_difference(ours: float, theirs: float) -> float:
    """|ours - theirs| over the larger of the two, 0 where both are 0."""
    scale = max(abs(ours), abs(theirs))
    return 0.0 if ours == theirs else abs(ours - theirs) / scale


TORCH_FIDELITY = partial(Comparison, library="torch-fidelity")
TORCHMETRICS = partial(Comparison, library="torchmetrics")
PRDC = partial(Comparison, library="prdc", pair=prdc_package)
REGISTERED = "`calculate_metrics`, a registered feature extractor, 300 against 260 images, float64"
INCEPTION = "`calculate_metrics`, its Inception-v3 with random weights, 14 against 12 images, float32"
CUSTOM = "custom feature module, 300 against 260 images, float64"
NAMES = {"fid": "FID", "is": "IS", "is_std": "IS, deviation", "kid": "KID", "kid_std": "KID, deviation"}

COMPARISONS: tuple[Comparison, ...] = (
    *(
        TORCH_FIDELITY(metric=NAMES.get(key, key), pair=fidelity_registered, key=key, note=REGISTERED)
        for key in ("fid", "is", "is_std", "kid", "kid_std", "precision", "recall")
    ),
    *(
        TORCH_FIDELITY(metric=NAMES.get(key, key), pair=fidelity_inception, key=key, note=INCEPTION)
        for key in ("fid", "is", "kid", "kid_std", "precision", "recall")
    ),
    TORCHMETRICS(metric="FID", pair=torchmetrics_custom, key="fid", note=CUSTOM),
    TORCHMETRICS(metric="IS", pair=torchmetrics_custom, key="is", note=f"{CUSTOM}; its random splits made ours"),
    TORCHMETRICS(
        metric="IS, deviation",
        pair=torchmetrics_custom,
        key="is_std",
        differs=True,
        tolerance=1e-2,
        note="differs: its deviation of S splits divides by S - 1, ours and torch-fidelity's by S",
    ),
    TORCHMETRICS(
        metric="IS, deviation", pair=torchmetrics_custom, key="is_std_population", note="the same, divided by S"
    ),
    TORCHMETRICS(metric="KID", pair=torchmetrics_custom, key="kid", note=f"{CUSTOM}; ours on the subsets it draws"),
    TORCHMETRICS(
        metric="KID, deviation",
        pair=torchmetrics_custom,
        key="kid_std",
        note=f"{CUSTOM}; ours on the subsets it draws",
    ),
    TORCHMETRICS(
        metric="KID",
        pair=torchmetrics_custom,
        key="kid_float32",
        note="float32 features, in which it computes; ours computes in float64",
    ),
    TORCHMETRICS(
        metric="FID",
        pair=torchmetrics_inception,
        key="antialias_off",
        note="64 features of its Inception-v3 with random weights, images of 384 pixels, `antialias=False`",
    ),
    TORCHMETRICS(
        metric="FID",
        pair=torchmetrics_inception,
        key="antialias_on",
        differs=True,
        tolerance=1e-2,
        note="differs: since 1.8 it resizes with antialias by default, ours as TensorFlow 1 did",
    ),
    TORCHMETRICS(
        metric="FID", pair=torchmetrics_inception, key="antialias_both", note="the same, ours on images resized its way"
    ),
    TORCHMETRICS(
        metric="FID",
        pair=torchmetrics_inception,
        key="rounded",
        differs=True,
        tolerance=1e-2,
        note="differs: `normalize=True` cuts floats down to levels, `(x * 255).byte()`, ours rounds",
    ),
    TORCHMETRICS(
        metric="FID", pair=torchmetrics_inception, key="truncated", note="the same, ours on images cut down its way"
    ),
    *(
        PRDC(metric=key, key=key, note="`compute_prdc`, 300 against 260 images, float64")
        for key in ("precision", "recall", "density", "coverage")
    ),
    PRDC(
        metric="density",
        key="surface",
        differs=True,
        tolerance=1e-2,
        note="differs: a lattice against itself; its balls are open, ours closed as in Kynkäänniemi et al.",
    ),
    PRDC(metric="density", key="opened", note="the same, ours with open balls"),
    PRDC(
        metric="precision",
        key="copies",
        differs=True,
        tolerance=1e-2,
        note="differs: images that occur more than k times have open balls of radius 0, which are empty",
    ),
    Comparison(
        metric="FID",
        library="pytorch-fid",
        pair=pytorch_fid,
        key="fid",
        note="`calculate_activation_statistics` of PNG files through our network, `calculate_frechet_distance`",
    ),
)


def markdown(rows: Iterable[Row]) -> str:
    """A table, one line a row."""
    lines = [
        "| metric | reference | ours | theirs | relative difference | tolerance | holds | note |",
        "|---|---|---:|---:|---:|---|---|---|",
    ]
    for row in rows:
        numbers = [
            "-" if value is None else format(value, spec)
            for value, spec in ((row.ours, ".9g"), (row.theirs, ".9g"), (row.difference, ".1e"))
        ]
        good = "-" if row.difference is None else "yes" if row.holds else "NO"
        lines.append(" | ".join([f"| {row.metric}", row.reference, *numbers, row.tolerance, good, f"{row.note} |"]))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Our metrics beside other implementations, on identical inputs.")
    parser.add_argument("--json", action="store_true", help="rows as JSON instead of a Markdown table")
    options = parser.parse_args(arguments)
    rows = [comparison.measure() for comparison in COMPARISONS]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        packages = ("torch", "numpy", "scipy", "scikit-learn")
        versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
        print(f"{markdown(rows)}\n\nOn the CPU, {torch.get_num_threads()} threads; {versions}.")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
