"""What an accuracy is worth: an interval for the share of right answers. Standard library only."""

from math import sqrt
from statistics import NormalDist


def wilson(correct: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share, (low, high) with 0 <= low <= correct / n <= high <= 1.

    The shares p for which `correct` of `n` is no surprise: |correct / n - p| <= z sqrt(p (1 - p) / n), with the normal
    quantile z of `level`. It covers about `level` of the time also for small n and shares near 0 and 1.
    Wilson 1927, J. Am. Stat. Assoc. 22:209. Raises `ValueError` unless 0 <= correct <= n, n >= 1, 0 < level < 1.

    >>> low, high = wilson(81, 263)
    >>> round(low, 4), round(high, 4)
    (0.2553, 0.3662)
    """
    if not 0 <= correct <= n or n < 1:
        raise ValueError(f"{correct} right of {n} answers is no share; n must be at least 1 and correct 0 to n")
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not at {level!r}; 0.95 is usual")
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    middle = (correct + z2 / 2) / (n + z2)
    half = sqrt(z2 * (correct * (n - correct) / n + z2 / 4)) / (n + z2)
    low = 0.0 if correct == 0 else middle - half
    high = 1.0 if correct == n else middle + half
    return low, high
