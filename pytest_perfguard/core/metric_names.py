"""Names of metrics. Reports and the baseline file hold the text form: `time`, `time:parse`, `p95:parse/db.query`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

#: The order in which reports list the kinds of metrics. Other kinds follow.
_KIND_ORDER: Final = ("time", "cpu", "memory", "blocks", "instructions", "p95", "value", "value-p95")


class MetricName(NamedTuple):
    """The parts of a metric's name."""

    kind: str
    """`time`, `memory`, `p95`; the name of a limit: `max_time`; the name of a leak: `leak.files`."""
    point: str = ""
    """Label of the measurement point; empty for the test as a whole."""
    series: str = ""
    """Series of a timer or histogram that the test recorded itself; empty for the measured calls."""

    @classmethod
    def parse(cls, text: str, points: Collection[str] | None = None) -> MetricName:
        """Parse the text form of a name.

        Parameters
        ----------
        points
            labels of the test's measurement points, which distinguish `time:parse` of a point from that of a timer.
            None: everything after the colon is taken for the label of a point.
        """
        kind, _colon, rest = text.partition(":")
        if points is None or rest in points:
            return cls(kind, rest)
        around = [label for label in points if label and rest.startswith(f"{label}/")]
        point = max(around, key=len, default="")
        return cls(kind, point, rest.removeprefix(f"{point}/") if point else rest)

    def __str__(self) -> str:
        label = "/".join(part for part in (self.point, self.series) if part)
        return f"{self.kind}:{label}" if label else self.kind


@lru_cache(maxsize=1024)
def metric_kind(name: str) -> str:
    """Return the kind in the text form of a name: `time` of `time:parse`."""
    return MetricName.parse(name).kind


def are_counts(names: Iterable[str]) -> bool:
    """Return whether all of these metrics, at least one, are counts of instructions."""
    return {metric_kind(name) for name in names} == {"instructions"}


def same_place(name: str, kind: str) -> str:
    """Return the name of the metric of another kind at the same point and series: `cpu:parse` -> `time:parse`."""
    return str(MetricName.parse(name)._replace(kind=kind))


def of_points(names: Iterable[str], points: Collection[str]) -> set[str]:
    """Return the names of metrics of the measured calls themselves, without those of timers and histograms."""
    return {name for name in names if not MetricName.parse(name, points).series}


@lru_cache(maxsize=1024)
def metric_order(name: str) -> tuple[int, str]:
    """Return the sort key of a name: time, CPU time, memory, blocks, instructions, then the others, each by name."""
    kind = metric_kind(name)
    return (_KIND_ORDER.index(kind) if kind in _KIND_ORDER else len(_KIND_ORDER)), name
