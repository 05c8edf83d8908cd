"""What may be said about means over a few training seeds: intervals, tests and shared ranks. Torch-free."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

CONFIDENCE = 0.95
"""Of every interval."""

LEVEL = 0.05
"""Of the tests: how often, at most, a table of equals may show any difference at all."""

INTERVAL_METHOD = f"± is half the {100 * CONFIDENCE:.0f} % Student t interval of the mean over training seeds"

RANK_METHOD = (
    f"rows share a rank where no difference between them is significant at {100 * LEVEL:.0f} %: Welch's two-sided "
    "t test of every two ranked rows, Holm's correction over all of them"
)


def student_t_half_width(values: Sequence[float], confidence: float = CONFIDENCE) -> float:
    """Half the width of the two-sided Student t interval of the mean, in the unit of the values.

    Student, The probable error of a mean, 1908: t(n - 1) s / sqrt(n). `values`: at least 2, finite, independent.

    Raises:
        ValueError: fewer than 2 values; they say nothing about their spread.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval needs at least 2 values, not {n}")
    deviation = math.sqrt(_mean_and_variance(values)[1])
    if deviation == 0:
        return 0.0
    return _t_quantile(n - 1, confidence) * deviation / math.sqrt(n)


def _mean_and_variance(values: Sequence[float]) -> tuple[float, float]:
    """Of a sample, in two passes of exact sums. Equal values have that mean, to the last bit, and none of the other."""
    if min(values) == max(values):
        return values[0], 0.0
    mean = statistics.fmean(values)
    return mean, math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


@cache
def _t_quantile(freedom: int, confidence: float) -> float:
    from scipy.special import stdtrit  # here, because it takes longer to import than most tables to make

    return float(stdtrit(freedom, (1 + confidence) / 2))


def welch_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of the hypothesis that two means are equal; the variances need not be.

    Welch, The generalization of Student's problem, 1947, with the degrees of freedom of Welch and Satterthwaite.
    Where neither side varies there is nothing to estimate: 1 for equal means, 0 for different ones.

    Raises:
        ValueError: fewer than 2 values on a side.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"a test needs at least 2 values on each side, not {len(first)} and {len(second)}")
    return float(_Groups([first, second]).p_values(0)[0])


class _Groups:
    """Means and their squared standard errors, in order, and tests of one against all that follow."""

    def __init__(self, groups: Sequence[Sequence[float]]) -> None:
        import numpy as np  # here, as scipy below: tables without ranks do without

        moments = [_mean_and_variance(values) for values in groups]
        self.means = np.array([mean for mean, _ in moments])
        self.squares = np.array([one[1] / len(values) for one, values in zip(moments, groups, strict=True)])
        self.freedoms = np.array([len(values) - 1 for values in groups])

    def p_values(self, one: int, from_t: float = 0.0) -> np.ndarray:
        """`welch_p` of group `one` and each after it: float64 `[len(groups) - one - 1]`. Where |t| is below `from_t`,
        1 stands in its place.
        """
        import numpy as np
        from scipy.special import stdtr

        difference = np.abs(self.means[one] - self.means[one + 1 :])
        ours, theirs = self.squares[one], self.squares[one + 1 :]
        total = ours + theirs  # squared standard error of the difference
        varies = total > 0
        p = np.where(varies | (difference == 0), 1.0, 0.0)
        scale = np.where(varies, total, 1.0)
        t = difference / np.sqrt(scale)
        tested = varies & (t >= from_t)
        # By shares of the total, not by squares of variances, which underflow for small units.
        shares = (ours / scale) ** 2 / self.freedoms[one] + (theirs / scale) ** 2 / self.freedoms[one + 1 :]
        p[tested] = 2 * stdtr(1 / shares[tested], -t[tested])
        return p


def holm(p_values: Sequence[float] | np.ndarray, level: float = LEVEL, tests: int | None = None) -> float:
    """The bound up to which a p is significant at `level`, all tests together.

    Holm, A simple sequentially rejective multiple test procedure, 1979: from the smallest on, reject while
    p <= level / (tests left). It bounds the chance of any false claim whatever the dependence between the tests, and
    pairs that share a row do depend on each other.

    Args:
        p_values: float `[K]`, in any order.
        level: of all tests together.
        tests: how many there are; more than K: these have the smallest p of them. None: K.
    """
    import numpy as np

    p = np.asarray(p_values, dtype=np.float64)
    left = len(p) if tests is None else tests
    bound, rejected = level / max(left, 1), 0
    # What is rejected at the bound of the first rejections is so in its turn, too: no need to sort millions.
    while rejected < (more := int(np.count_nonzero(p <= bound))) < left:
        rejected = more
        bound = level / (left - rejected)
    return bound


def shared_ranks(groups: Sequence[Sequence[float]], level: float = LEVEL) -> list[int]:
    """Ranks of groups of seeds that come with the best mean first; each group has at least 2 values.

    A group takes the rank of the one before it, unless some group of that rank differs from it significantly; then its
    rank is its place: 1, 1, 3. So groups of one rank never differ significantly, and ranks never contradict the order
    of the means. (Counting the groups that are significantly better would do neither: a group of large variance is
    beaten by nobody, and would stand above groups of a better mean.) As not being different is not transitive, groups
    of neighbouring ranks need not differ pairwise.

    Every two groups are tested, thousands of them in seconds: five million pairs of 3,333 groups.
    """
    if len(groups) < 2:
        return [1] * len(groups)
    import numpy as np
    from scipy.special import ndtri

    stated = _Groups(groups)
    least_t = -float(ndtri(level / 2)) * 0.999  # p of a smaller t is above the level, whatever the degrees of freedom
    found, worse = [], []  # tests that may be significant
    for better in range(len(groups) - 1):
        p = stated.p_values(better, least_t)
        near = np.flatnonzero(p <= level)
        found.append(p[near])
        worse.append((near + better + 1).astype(np.int32))
    bound = holm(np.concatenate(found), level, len(groups) * (len(groups) - 1) // 2)
    last = np.full(len(groups), -1)  # of the groups before it, the last that a group differs from
    for better, (p, places) in enumerate(zip(found, worse, strict=True)):
        last[places[p <= bound]] = better
    ranks: list[int] = []
    start = 0  # the first group of the current rank
    for place, differs in enumerate(last.tolist()):
        if differs >= start:
            start = place
        ranks.append(start + 1)
    return ranks


def welch_half_width(first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE) -> float:
    """Half the width of the interval of the difference of two means, with the degrees of freedom of `welch_p`.

    Raises:
        ValueError: fewer than 2 values on a side.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"an interval needs at least 2 values on each side, not {len(first)} and {len(second)}")
    squares = [statistics.variance(values) / len(values) for values in (first, second)]
    total = sum(squares)
    if total == 0:
        return 0.0
    from scipy.special import stdtrit

    shares = zip(squares, (first, second), strict=True)
    freedom = 1 / sum((square / total) ** 2 / (len(values) - 1) for square, values in shares)
    return float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(total)
