"""What may be said about means over a few training seeds: intervals, tests and shared ranks. Torch-free."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import combinations

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
    deviation = statistics.stdev(values)
    if deviation == 0:
        return 0.0
    from scipy.special import stdtrit  # here, because it takes longer to import than most tables to make

    return float(stdtrit(n - 1, (1 + confidence) / 2)) * deviation / math.sqrt(n)


def welch_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of the hypothesis that two means are equal; the variances need not be.

    Welch, The generalization of Student's problem, 1947, with the degrees of freedom of Welch and Satterthwaite.
    Where neither side varies there is nothing to estimate: 1 for equal means, 0 for different ones.

    Raises:
        ValueError: fewer than 2 values on a side.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"a test needs at least 2 values on each side, not {len(first)} and {len(second)}")
    difference = statistics.mean(first) - statistics.mean(second)  # exact: equal values differ by no rounding
    squares = [statistics.variance(values) / len(values) for values in (first, second)]
    total = sum(squares)  # squared standard error of the difference
    if total == 0:
        return 0.0 if difference else 1.0
    from scipy.special import stdtr

    # By shares of the total, not by squares of variances, which underflow for small units.
    shares = zip(squares, (first, second), strict=True)
    freedom = 1 / sum((square / total) ** 2 / (len(values) - 1) for square, values in shares)
    return float(2 * stdtr(freedom, -abs(difference) / math.sqrt(total)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given: those at or below a level are significant at it, all tests together.

    Holm, A simple sequentially rejective multiple test procedure, 1979. It bounds the chance of any false claim
    whatever the dependence between the tests, and pairs that share a row do depend on each other.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for step, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - step) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def shared_ranks(groups: Sequence[Sequence[float]], level: float = LEVEL) -> list[int]:
    """Ranks of groups of seeds that come with the best mean first; each group has at least 2 values.

    A group takes the rank of the one before it, unless some group of that rank differs from it significantly; then its
    rank is its place: 1, 1, 3. So groups of one rank never differ significantly, and ranks never contradict the order
    of the means. (Counting the groups that are significantly better would do neither: a group of large variance is
    beaten by nobody, and would stand above groups of a better mean.) As not being different is not transitive, groups
    of neighbouring ranks need not differ pairwise.
    """
    pairs = list(combinations(range(len(groups)), 2))
    p_values = holm([welch_p(groups[better], groups[worse]) for better, worse in pairs])
    different = {pair for pair, p in zip(pairs, p_values, strict=True) if p <= level}
    ranks: list[int] = []
    start = 0  # the first group of the current rank
    for place in range(len(groups)):
        if any((other, place) in different for other in range(start, place)):
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
