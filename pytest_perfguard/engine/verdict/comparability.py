"""Can two sides be compared at all? Each function says why not, or "" where they can."""

from __future__ import annotations

from collections.abc import Container

from pytest_perfguard.core.metric_names import metric_kind, of_points
from pytest_perfguard.core.model import Measurement, Record


def other_source(record: Record, source: str) -> str:
    """A changed test is another benchmark."""
    if record.source and source and record.source != source:
        return "the source of the test changed since it was recorded; accept it with: pytest --perf-baseline"
    return ""


def other_points(recorded: set[str], measured: set[str], labels: Container[str]) -> str:
    """Why the two sides measured different things; "" if they did not.

    `labels` are those of the measurement points: what else has a name is a timer, which each side may have for itself.
    """
    times = {name for name in of_points(recorded | measured, labels) if metric_kind(name) in ("time", "cpu")}
    gone, come = sorted(times & recorded - measured), sorted(times & measured - recorded)
    if not gone and not come:
        return ""
    parts = [f"no longer measured: {', '.join(gone)}"] * bool(gone) + [f"not recorded: {', '.join(come)}"] * bool(come)
    return f"the test reaches other measurement points than when it was recorded ({'; '.join(parts)})"


def other_conditions(record: Record, measurement: Measurement) -> str:
    """Why the numbers of the two sides are different in kind; "" if they are not."""
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
    return ""
