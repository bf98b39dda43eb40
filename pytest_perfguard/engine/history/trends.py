"""Trends: one series of recordings per test and metric, with its changes of level and its drift."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.metric_names import metric_kind, metric_order
from pytest_perfguard.core.model import Record, change_ratio
from pytest_perfguard.core.stats.change_points import MIN_LEVEL_LENGTH, ChangePoint, change_points
from pytest_perfguard.engine.history.drift import Drift, drift_of
from pytest_perfguard.engine.history.snapshots import Snapshot

#: Chance that a series without a change shows one.
ALPHA: Final = 0.001


@dataclass(frozen=True)
class HistoryPoint:
    """One recording."""

    label: str
    at: str
    value: float
    commit: str = ""
    """`Record.commit`: the revision that was measured."""


@dataclass(frozen=True)
class LevelChange:
    """A change of level."""

    index: int
    """Index of the first point of the new level."""
    ratio: float
    """New level / old level."""


@dataclass(frozen=True)
class Trend:
    """One metric of one test over time, the oldest recording first."""

    nodeid: str
    machine: str
    metric: str
    unit: str
    points: tuple[HistoryPoint, ...]
    steps: tuple[LevelChange, ...]
    drift: Drift | None
    """None: too few points."""
    stepped: bool = False
    """The changes of level together make it worse by more than the threshold."""
    anchor: float | None = None
    """Start of the drift, if the user gave one; otherwise the first points are the start."""

    @property
    def worse(self) -> bool:
        """True if drift or changes of level exceed the threshold, and not by chance."""
        return (self.drift is not None and self.drift.drifted) or self.stepped

    @property
    def change(self) -> float:
        """The ratio of the last point to the anchor, or else to the first point; infinite if it grew from nothing."""
        return change_ratio(self.anchor or self.points[0].value, self.points[-1].value)


@dataclass(frozen=True)
class HistoryQuery:
    """Selection of trends, and the threshold by which they are judged."""

    threshold: float
    metrics: Sequence[str] = ()
    """Names or kinds of metrics; empty: all."""
    anchor: Snapshot | None = None
    """None: the first points of each series."""
    current: bool = False
    """Only tests and machine classes in the last state: nobody can fix a test that was removed."""


def find_trends(snapshots: Sequence[Snapshot], query: HistoryQuery) -> list[Trend]:
    """Return the selected trends, sorted by machine class, test and metric."""
    found: list[Trend] = []
    selected = snapshots[-1:] if query.current else snapshots
    for machine in sorted({name for snapshot in selected for name in snapshot.classes}):
        nodeids = {nodeid for snapshot in selected for nodeid in snapshot.classes.get(machine, {})}
        for nodeid in sorted(nodeids):
            found += _trends_of(snapshots, machine, nodeid, query)
    return found


def _trends_of(snapshots: Sequence[Snapshot], machine: str, nodeid: str, query: HistoryQuery) -> Iterator[Trend]:
    recordings = _recordings(snapshots, machine, nodeid)
    last = recordings[-1][1]
    for name in sorted(last.metrics, key=metric_order):
        if query.metrics and not {name, metric_kind(name)} & set(query.metrics):
            continue
        points = tuple(
            HistoryPoint(snapshot.label, snapshot.at, record.metrics[name].estimate, record.commit)
            for snapshot, record in recordings
            if name in record.metrics and record.metrics[name].unit == last.metrics[name].unit
        )
        yield judge_trend(
            nodeid, machine, name, last.metrics[name].unit, points, query, _anchor(query, machine, nodeid, name)
        )


def judge_trend(
    nodeid: str,
    machine: str,
    metric: str,
    unit: str,
    points: tuple[HistoryPoint, ...],
    query: HistoryQuery,
    anchor: float | None,
) -> Trend:
    """Return the series with its changes of level and its drift."""
    values = [point.value for point in points]
    positive = all(value > 0 for value in values)
    logs = [math.log(value) for value in values] if positive else []
    constant = not logs or max(logs) - min(logs) < math.log1p(query.threshold)
    steps = () if constant else change_points(logs, alpha=ALPHA, min_step=math.log1p(query.threshold))
    return Trend(
        nodeid, machine, metric, unit, points,
        steps=tuple(LevelChange(found.index, math.exp(found.after - found.before)) for found in steps),
        stepped=_is_above(steps, anchor, query.threshold) or _grew_from_nothing(values),
        drift=drift_of(values, threshold=query.threshold, alpha=ALPHA, anchor=anchor) if positive else None,
        anchor=anchor,
    )  # fmt: skip


def _is_above(steps: Sequence[ChangePoint], anchor: float | None, threshold: float) -> bool:
    """Return whether the last level exceeds the anchor, or else the first level, by more than the threshold."""
    if not steps:
        return False
    start = math.log(anchor) if anchor else steps[0].before
    return steps[-1].after - start > math.log1p(threshold)


def _grew_from_nothing(values: Sequence[float]) -> bool:
    """Return whether the series began at zero and ended above it for good: such a change has no ratio and is worse."""
    return len(values) >= 2 * MIN_LEVEL_LENGTH and max(values[:MIN_LEVEL_LENGTH]) == 0 < min(values[-MIN_LEVEL_LENGTH:])


def _recordings(snapshots: Sequence[Snapshot], machine: str, nodeid: str) -> list[tuple[Snapshot, Record]]:
    """Return each recording of the test with its present source code: a changed test is another benchmark."""
    found: list[tuple[Snapshot, Record]] = []
    for snapshot in snapshots:
        record = snapshot.classes.get(machine, {}).get(nodeid)
        if record is None or (found and found[-1][1] == record):  # the commit changed other tests
            continue
        if found and record.source and found[-1][1].source and record.source != found[-1][1].source:
            found = []
        found.append((snapshot, record))
    return found


def _anchor(query: HistoryQuery, machine: str, nodeid: str, metric: str) -> float | None:
    if query.anchor is None:
        return None
    record = query.anchor.classes.get(machine, {}).get(nodeid)
    stats = record.metrics.get(metric) if record is not None else None
    return stats.estimate if stats is not None and stats.estimate > 0 else None
