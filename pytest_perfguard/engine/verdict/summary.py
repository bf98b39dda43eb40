"""What is kept of the rounds of one metric: the minimum and the median of each process."""

from __future__ import annotations

from typing import Final

from pytest_perfguard.core.model import Recorded, Samples

#: Of each number in the baseline file. Both sides of a comparison with the file are rounded to them.
SIGNIFICANT_DIGITS: Final = 6


def exact_summary(samples: Samples) -> Recorded:
    """Return the summary of these samples, with all digits."""
    return Recorded(samples.unit, samples.minima, samples.medians, samples.rounds)


def kept_summary(samples: Samples) -> Recorded:
    """Return the summary as the baseline file keeps it."""
    return Recorded(
        unit=samples.unit,
        minima=tuple(map(rounded, samples.minima)),
        medians=tuple(map(rounded, samples.medians)),
        rounds=samples.rounds,
    )


def rounded(value: float) -> float:
    """Return the number with as many digits as the baseline file keeps."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
