"""Wilson's interval against published values, scipy, its own equation, and its coverage."""

from math import comb, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from asktell.accuracy import wilson

shares = st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_values_of_newcombe_1998(correct: int, n: int, low: float, high: float) -> None:
    assert wilson(correct, n) == pytest.approx((low, high), abs=5e-5)


@given(share=shares, level=st.floats(0.01, 0.999))
def test_the_values_of_scipy(share: tuple[int, int], level: float) -> None:
    theirs = binomtest(*share).proportion_ci(confidence_level=level, method="wilson")
    assert wilson(*share, level) == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-12)


@given(share=shares, level=st.floats(0.01, 0.999))
def test_the_ends_are_shares_that_are_just_no_surprise(share: tuple[int, int], level: float) -> None:
    correct, n = share
    z = norm.ppf((1 + level) / 2)
    for end in wilson(correct, n, level):
        assert abs(correct / n - end) == pytest.approx(z * sqrt(end * (1 - end) / n), rel=1e-6, abs=1e-9)


@given(share=shares, level=st.floats(0.01, 0.999))
def test_it_holds_the_share_lies_within_0_and_1_and_mirrors(share: tuple[int, int], level: float) -> None:
    correct, n = share
    low, high = wilson(correct, n, level)
    assert 0 <= low <= correct / n <= high <= 1
    assert wilson(n - correct, n, level) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(share=shares, levels=st.tuples(st.floats(0.01, 0.999), st.floats(0.01, 0.999)))
def test_it_narrows_with_more_answers_and_widens_with_the_level(
    share: tuple[int, int], levels: tuple[float, float]
) -> None:
    correct, n = share
    (low, high), (lower, higher) = wilson(correct, n), wilson(4 * correct, 4 * n)
    assert higher - lower < high - low
    inner, outer = (wilson(correct, n, level) for level in sorted(levels))
    assert outer[0] <= inner[0]
    assert inner[1] <= outer[1]


@pytest.mark.parametrize("n", [10, 50, 100])
def test_it_covers_the_truth_about_as_often_as_it_says(n: int) -> None:
    intervals = [wilson(correct, n) for correct in range(n + 1)]
    grid = [step / 200 for step in range(1, 200)]
    coverage = [
        sum(comb(n, x) * p**x * (1 - p) ** (n - x) for x, (low, high) in enumerate(intervals) if low <= p <= high)
        for p in grid
    ]
    assert sum(coverage) / len(grid) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize(
    ("correct", "n", "level"), [(0, 0, 0.95), (-1, 3, 0.95), (4, 3, 0.95), (1, 3, 0.0), (1, 3, 1.0)]
)
def test_what_is_no_share_or_no_level(correct: int, n: int, level: float) -> None:
    with pytest.raises(ValueError, match=r"no share|between 0 and 1"):
        wilson(correct, n, level)
