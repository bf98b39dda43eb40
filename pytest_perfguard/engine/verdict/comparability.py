"""Check whether two measurements of a test can be compared. Each function returns the reason why not, or None."""

from __future__ import annotations

from collections.abc import Collection

from pytest_perfguard.core.metric_names import metric_kind, of_points
from pytest_perfguard.core.model import Measurement, Record


def changed_source(record: Record, source: str) -> str | None:
    """Return a reason if the source code of the test changed: it is another benchmark then."""
    if record.source and source and record.source != source:
        return "the source of the test changed since it was recorded"
    return None


def different_points(recorded: set[str], measured: set[str], points: Collection[str]) -> str | None:
    """Return a reason if the two sides reach different measurement points.

    Timers are not compared: a test may have recorded one on one side only.

    Parameters
    ----------
    points
        labels of the measurement points of both sides.
    """
    times = {name for name in of_points(recorded | measured, points) if metric_kind(name) in ("time", "cpu")}
    lost, added = sorted(times & recorded - measured), sorted(times & measured - recorded)
    if not lost and not added:
        return None
    parts = [f"no longer measured: {', '.join(lost)}"] * bool(lost) + [f"not recorded: {', '.join(added)}"] * bool(
        added
    )
    return f"the test reaches other measurement points than when it was recorded ({'; '.join(parts)})"


def different_conditions(record: Record, measurement: Measurement) -> str | None:
    """Return a reason if the two sides were measured under conditions that change the numbers."""
    if record.conditions.get("single", False) != measurement.conditions.get("single", False):
        return "one side was measured one call per set-up (stateful), the other many calls; record it again"
    if record.conditions.get("parallel", False) != measurement.conditions.get("parallel", False):
        return "one side ran in parallel and was free to use several CPUs, the other was kept on one; record it again"
    if record.conditions.get("collector", True) != measurement.conditions.get("collector", True):
        return "the garbage collector was on when one side was measured and off for the other"
    if record.conditions.get("instrumented", False) != measurement.conditions.get("instrumented", False):
        return (
            "one side was measured under an instrument that cannot be paused (memray, tracemalloc, -X dev, a profiler), "
            "the other without; measure both in the same way"
        )
    return None
