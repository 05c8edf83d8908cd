"""Structured codes of samples: some are fixed, one takes its values along each row of the grid."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganzoo.errors import SettingError
from ganzoo.gan import Codes, Prior
from ganzoo.scoring.generation import Inputs
from ganzoo.scoring.noise import noise


@dataclass(frozen=True, kw_only=True)
class ChosenCodes:
    """Codes by number, from 1: the `fixed` ones and their values, and the one that is swept over `values`."""

    prior: Codes
    fixed: Mapping[int, float]
    swept: int | None  # None: all are fixed
    values: tuple[float, ...]  # of the swept one, from left to right

    def inputs(self, seed: int, classes: Tensor | None) -> Inputs:
        """Image i is in column i % len(values); row r has noise r of `seed` all along, and `classes` (int64 `[K]` or
        None) take turns with the rows. Where nothing is swept, each image is a row.
        """
        columns = max(len(self.values), 1)

        def inputs(numbers: Tensor) -> tuple[Tensor, Tensor | None]:
            row = numbers // columns
            first = int(row[0])
            z = self.prior(noise(seed, first, int(row[-1]) - first + 1, self.prior.dim))[row - first]
            for code, value in self.fixed.items():
                self._put(z, code, torch.full(row.shape, value))
            if self.swept is not None:
                self._put(z, self.swept, torch.tensor(self.values)[numbers % columns])
            return z, None if classes is None else classes[row % len(classes)]

        return inputs

    def _put(self, z: Tensor, code: int, values: Tensor) -> None:
        """Set a code in z `[N, dim]`, in place. values: float32 `[N]`, class numbers where it is categorical."""
        _, one_hot, continuous = self.prior.split(z)
        if code <= len(one_hot):
            one_hot[code - 1].zero_().scatter_(1, values.long()[:, None], 1.0)
        else:
            continuous[:, code - 1 - len(one_hot)] = values

    def legend(self, grid: bool) -> str:
        """Such as "code 2 = 0.5; columns: code 1 from 0 to 9"."""
        said = [f"code {code} = {value:g}" for code, value in self.fixed.items()]
        if self.swept is not None:
            where = "columns" if grid else "images, in turn"
            said.append(f"{where}: code {self.swept} from {self.values[0]:g} to {self.values[-1]:g}")
        return "; ".join(said)


def parse_codes(texts: Sequence[str]) -> dict[int, float]:
    """ "2=5" -> {2: 5.0}, of each.

    Raises:
        SettingError: it is something else, or a code is given twice.
    """
    codes: dict[int, float] = {}
    for text in texts:
        number, _, value = text.partition("=")
        try:
            found = int(number) if re.fullmatch(r"\d{1,9}", number, flags=re.ASCII) else 0
            chosen = float(value)
        except ValueError:
            found, chosen = 0, math.nan
        if not found or not math.isfinite(chosen):
            raise SettingError(f"--code {text} is no code and its value", "write it as 2=5: codes are numbered from 1")
        if found in codes:
            raise SettingError(f"--code {found} is given twice", "leave one of them out")
        codes[found] = chosen
    return codes


def choose_codes(
    prior: Prior, variant: str, fixed: Mapping[int, float], sweep: int | None, steps: int | None
) -> ChosenCodes:
    """
    Args:
        prior: of the variant, which has to be `Codes`.
        variant: its name, for errors.
        fixed: number of a code -> the class of a categorical one, the number of a continuous one.
        sweep: the code that takes all its classes, or `steps` numbers from low to high; None: the first that is not
            fixed.
        steps: at least 2; None: 8.

    Raises:
        SettingError: the variant has no codes, not these, or not with these values; `steps` for a categorical code.
    """
    if not isinstance(prior, Codes):
        raise SettingError(
            f"variant '{variant}' has no codes: its z is not in parts", "leave --code and --sweep out, or use infogan"
        )
    count = len(prior.categorical) + prior.continuous
    if not count:
        raise SettingError(f"this run of '{variant}' has noise alone, no codes", "leave --code and --sweep out")
    for code in (*fixed, *([] if sweep is None else [sweep])):
        if not 1 <= code <= count:
            raise SettingError(f"there is no code {code}", _described(prior))
    for code, value in fixed.items():
        _check_value(prior, code, value)
    if sweep in fixed:
        raise SettingError(f"code {sweep} is both fixed and swept", "leave --code or --sweep out, or choose another")
    swept = next((code for code in range(1, count + 1) if code not in fixed), None) if sweep is None else sweep
    values: tuple[float, ...] = ()
    categorical = swept is not None and swept <= len(prior.categorical)
    if steps is not None and (swept is None or categorical):
        why = "all codes are fixed" if swept is None else f"code {swept} has so many columns as it has classes"
        raise SettingError(f"--steps has no effect: {why}", "leave --steps out, or --sweep a continuous code")
    if swept is not None and categorical:
        values = tuple(float(value) for value in range(prior.categorical[swept - 1]))
    elif swept is not None:
        values = tuple(torch.linspace(prior.low, prior.high, steps or 8).tolist())
    return ChosenCodes(prior=prior, fixed=fixed, swept=swept, values=values)


def _check_value(prior: Codes, code: int, value: float) -> None:
    if code <= len(prior.categorical):
        classes = prior.categorical[code - 1]
        if value not in range(classes):
            raise SettingError(f"code {code} has no class {value:g}", f"its classes are 0 to {classes - 1}")
    elif not prior.low <= value <= prior.high:
        raise SettingError(f"code {code} is never {value:g}", f"it lies between {prior.low:g} and {prior.high:g}")


def _described(prior: Codes) -> str:
    """Which codes there are."""
    said = [f"{code} with classes 0 to {classes - 1}" for code, classes in enumerate(prior.categorical, start=1)]
    first, last = len(said) + 1, len(said) + prior.continuous
    if prior.continuous:
        numbers = f"{first}" if first == last else f"{first} to {last}"
        said.append(f"{numbers} from {prior.low:g} to {prior.high:g}")
    return f"codes are {', '.join(said)}"
