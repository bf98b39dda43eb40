"""The bar of a test: the interval of a ratio on a logarithmic axis from half to twice, as positions in percent."""

from __future__ import annotations

import math
from typing import Final

from pytest_perfguard.core.model import Finding

#: The largest change on the axis, as the logarithm of a ratio: the axis runs from half to twice.
REACH: Final = math.log(2)
#: Space for a mark at each end of the axis, in percent.
_EDGE: Final = 3.0


def interval_bar(finding: Finding | None) -> list[float]:
    """Return begin and width of the interval, the estimate, and the largest allowed ratio if there is one; [] without a ratio."""
    if finding is None or finding.ratio is None or finding.ratio <= 0 or finding.baseline is None:
        return []
    low, high = finding.interval or (finding.ratio, finding.ratio)
    begin, end = place(low), place(high)
    allowed = [place(finding.limit / finding.baseline)] if finding.limit and finding.baseline > 0 else []
    return [begin, round(max(1.0, end - begin), 1), place(finding.ratio), *allowed]


def place(ratio: float) -> float:
    """Return the position of a ratio on the axis, limited to its ends."""
    position = math.log(ratio) / REACH if ratio > 0 else -1.0
    return round(_EDGE + (min(1.0, max(-1.0, position)) + 1) / 2 * (100 - 2 * _EDGE), 1)
