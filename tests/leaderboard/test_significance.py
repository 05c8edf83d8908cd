"""Intervals, tests and ranks against scipy.stats, published examples and simulation."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats

from ganzoo.leaderboard.significance import CONFIDENCE, LEVEL, holm, shared_ranks, student_t_half_width, welch_p

values = st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=2, max_size=8)
p_values = st.lists(st.floats(0, 1), max_size=12)


def test_interval_of_three_by_hand() -> None:
    # mean 4, sample standard deviation 2, t(0.975, 2) = 4.30265: 4.30265 * 2 / sqrt(3)
    assert student_t_half_width([2.0, 4.0, 6.0]) == pytest.approx(4.96827, abs=1e-5)
    # sd 0.70711, t(0.975, 1) = 12.7062
    assert student_t_half_width([1.0, 2.0]) == pytest.approx(6.35310, abs=1e-5)
    assert student_t_half_width([3.0, 3.0, 3.0]) == 0.0
    with pytest.raises(ValueError, match="at least 2 values, not 1"):
        student_t_half_width([1.0])


@pytest.mark.parametrize("n", [2, 3, 5, 32, 1001])
@pytest.mark.parametrize("confidence", [CONFIDENCE, 0.5, 0.999])
def test_interval_against_scipy(n: int, confidence: float) -> None:
    sample = np.random.default_rng(n).normal(20, 3, n)
    low, high = stats.t.interval(confidence, n - 1, loc=sample.mean(), scale=stats.sem(sample))
    assert student_t_half_width(sample.tolist(), confidence) == pytest.approx((high - low) / 2, rel=1e-9)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    samples = np.random.default_rng(1).normal(7.0, 2.0, (4000, 3))
    # Within five standard errors, sqrt(0.95 * 0.05 / 4000) = 0.0034, of 95 %; the normal 1.96 would cover 81 %.
    covered = np.mean([abs(np.mean(sample) - 7) <= student_t_half_width(sample.tolist()) for sample in samples])
    assert covered == pytest.approx(0.95, abs=5 * 0.0034)


@settings(max_examples=100, deadline=None)
@given(first=values, second=values)
def test_welch_against_scipy(first: list[float], second: list[float]) -> None:
    spread = min(np.ptp(first), np.ptp(second))
    assume(spread > 1e-6 * max(map(abs, first + second)))  # scipy loses digits otherwise, and warns
    p = welch_p(first, second)
    assert p == pytest.approx(stats.ttest_ind(first, second, equal_var=False).pvalue, rel=1e-6, abs=1e-12)
    assert p == pytest.approx(welch_p(second, first), rel=1e-12)
    assert 0 <= p <= 1


def test_welch_by_hand() -> None:
    # Means 10.2 and 10.8, both variances 0.04: t = 0.6 / sqrt(0.08 / 3) = 3.674 with 4 degrees of freedom.
    # P(|T| > t) for 4 degrees of freedom is 1 - u (3 - u^2) / 2 with u = t / sqrt(4 + t^2).
    t = 0.6 / math.sqrt(0.08 / 3)
    u = t / math.sqrt(4 + t * t)
    assert welch_p([10.0, 10.4, 10.2], [10.6, 11.0, 10.8]) == pytest.approx(1 - u * (3 - u * u) / 2, rel=1e-9)
    # One side without variance: the other's degrees of freedom, 2, and P(|T| > t) = 1 - u with u = t / sqrt(2 + t^2).
    t = 1.0 / math.sqrt(1 / 3)
    assert welch_p([1.0, 2.0, 3.0], [3.0, 3.0, 3.0]) == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-9)


def test_welch_where_nothing_varies() -> None:
    assert welch_p([2500.0] * 3, [2500.0] * 4) == 1.0
    assert welch_p([2500.0] * 3, [2501.0] * 3) == 0.0
    assert welch_p([0.1] * 3, [0.1] * 10) == 1.0  # no difference by rounding
    with pytest.raises(ValueError, match="at least 2 values on each side, not 3 and 1"):
        welch_p([1.0, 2.0, 3.0], [1.0])


@pytest.mark.parametrize("unit", [1e-90, 1e-9, 1e9, 1e90])
def test_welch_does_not_depend_on_the_unit(unit: float) -> None:
    first, second = [1.0, 2.0, 3.5], [2.0, 4.0, 4.5, 5.0]
    scaled = welch_p([value * unit for value in first], [value * unit for value in second])
    assert scaled == pytest.approx(welch_p(first, second), rel=1e-6)


def test_holm_by_hand() -> None:
    # Sorted: 0.005 <= 0.05 / 4, 0.01 <= 0.05 / 3; 0.03 is above 0.05 / 2, and 0.04 comes behind it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == 0.05 / 2
    assert holm([0.01, 0.04, 0.03, 0.005], level=0.06) == 0.06  # all of them
    assert holm([]) == 0.05
    assert holm([0.2]) == 0.05
    assert holm([0.9, 0.8]) == 0.025
    assert holm([0.01, 0.005], tests=4) == 0.025
    assert holm([0.01, 0.005], tests=10) == 0.05 / 9
    assert holm([0.01, 0.005], tests=11) == 0.05 / 11


@given(p_values)
@example([0.01, 0.0125, 0.02, 0.3])
def test_holm_decides_as_the_procedure_in_words(p: list[float]) -> None:
    """From the smallest on, reject while p <= level / (tests left); stop at the first that is not."""
    rejected = set()
    for left, index in zip(range(len(p), 0, -1), sorted(range(len(p)), key=p.__getitem__), strict=True):
        assume(abs(p[index] * left - LEVEL) > 1e-9)
        if p[index] > LEVEL / left:
            break
        rejected.add(index)
    assert {index for index, value in enumerate(p) if value <= holm(p)} == rejected


@pytest.mark.parametrize("spreads", [(1.0, 1.0, 1.0, 1.0, 1.0), (0.1, 0.5, 1.0, 3.0, 10.0)], ids=["equal", "unequal"])
def test_equal_variants_are_rarely_told_apart(spreads: tuple[float, ...]) -> None:
    """Five variants of one mean, three seeds each: at most 5 % of the tables may show any difference."""
    random = np.random.default_rng(0)
    tables, different, uncorrected = 400, 0, 0
    for _ in range(tables):
        rows = sorted((random.normal(20, spread, 3).tolist() for spread in spreads), key=np.mean)
        different += len(set(shared_ranks(rows))) > 1
        uncorrected += any(welch_p(first, second) <= LEVEL for first, second in itertools.combinations(rows, 2))
    # Three standard errors, sqrt(0.05 * 0.95 / 400) = 0.011, above 5 %.
    assert different / tables <= LEVEL + 3 * 0.011
    assert uncorrected / tables > 2 * LEVEL  # without the correction it would be far more: it is what is tested here


def test_different_variants_are_told_apart() -> None:
    random = np.random.default_rng(0)
    rows = [random.normal(mean, 1.0, 5).tolist() for mean in (10, 20, 30, 40)]
    assert shared_ranks(rows) == [1, 2, 3, 4]


def near(mean: float, spread: float = 0.1) -> list[float]:
    return [mean - spread, mean, mean + spread]


@pytest.mark.parametrize(
    ("groups", "ranks"),
    [
        ([], []),
        ([near(1)], [1]),
        ([near(1), near(1)], [1, 1]),
        ([near(1), near(9)], [1, 2]),
        ([near(1), near(1.05), near(9), near(9.05), near(50)], [1, 1, 3, 3, 5]),
        # The first differs from the third only: the third cannot share both ranks.
        ([near(1), near(1.25), near(1.5)], [1, 1, 3]),
        # Nobody beats the third, so uncertain is it; that does not lift it above the second.
        ([near(1), near(9), near(10, 40)], [1, 2, 2]),
        # It differs from the second, though not from the first, which nobody can tell from anything.
        ([near(1, 40), near(2), near(9)], [1, 1, 3]),
        ([[5.0, 5.0], [5.0, 5.0], [6.0, 6.0]], [1, 1, 3]),
    ],
)
def test_shared_ranks(groups: list[list[float]], ranks: list[int]) -> None:
    assert shared_ranks(groups) == ranks


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30).map(float), min_size=3, max_size=4), max_size=6))
def test_what_a_rank_means(groups: list[list[float]]) -> None:
    groups = sorted(groups, key=lambda group: float(np.mean(group)))
    ranks = shared_ranks(groups)
    pairs = list(itertools.combinations(range(len(groups)), 2))
    p_of = {(i, j): welch_p(groups[i], groups[j]) for i, j in pairs}
    bound = holm(list(p_of.values()))
    assert ranks == sorted(ranks)
    for (i, j), p in p_of.items():
        if ranks[i] == ranks[j]:
            assert p > bound
    for place, rank in enumerate(ranks):
        if rank > 1 and place > 0 and ranks[place - 1] != rank:  # a new rank: its place, and a reason for it
            assert rank == place + 1
            assert any(p_of[other, place] <= bound for other in range(place) if ranks[other] == ranks[place - 1])


def test_the_statistics_load_scipy_when_they_are_used() -> None:
    code = (
        "import sys, ganzoo.leaderboard.table, ganzoo.leaderboard.render; assert 'numpy' not in sys.modules\n"
        "from ganzoo.leaderboard.significance import welch_p; welch_p([1.0, 2.0], [1.0, 3.0])\n"
        "assert 'scipy.special' in sys.modules; assert not {'torch', 'scipy.stats'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_ranks_are_those_of_every_pair_tested_in_turn() -> None:
    """The tests of thousands of pairs are done in arrays, and only those that may be significant; none goes missing."""

    def one_by_one(groups: list[list[float]]) -> list[int]:
        pairs = list(itertools.combinations(range(len(groups)), 2))
        p = {pair: welch_p(groups[pair[0]], groups[pair[1]]) for pair in pairs}
        different: set[tuple[int, int]] = set()
        for left, pair in zip(range(len(pairs), 0, -1), sorted(pairs, key=p.__getitem__), strict=True):
            if p[pair] > LEVEL / left:
                break
            different.add(pair)
        ranks, start = [], 0
        for place in range(len(groups)):
            if any((other, place) in different for other in range(start, place)):
                start = place
            ranks.append(start + 1)
        return ranks

    random = np.random.default_rng(3)
    seen = set()
    for spread in (0.01, 0.1, 1.0):
        rows = [random.normal(mean, spread, size).tolist() for mean in range(12) for size in (3, 3, 8)]
        rows = sorted([*rows, [4.0] * 3, [4.0] * 5], key=np.mean)
        ranks = shared_ranks(rows)
        assert ranks == one_by_one(rows)
        seen.add(len(set(ranks)))
    assert len(seen) > 1
    assert max(seen) > 5


def test_ranks_of_thousands_take_no_minutes() -> None:
    """Half a million pairs, one after the other, took a minute."""
    rows = sorted(np.random.default_rng(0).normal(np.arange(1000)[:, None], 0.1, (1000, 3)).tolist(), key=np.mean)
    began = time.process_time()
    assert len(set(shared_ranks(rows))) > 100
    assert time.process_time() - began < 5
