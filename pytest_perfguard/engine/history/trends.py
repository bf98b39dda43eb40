"""From snapshots to one series per test and metric, judged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.metric_names import metric_order
from pytest_perfguard.core.model import Record
from pytest_perfguard.core.stats.change_points import LEAST, ChangePoint, change_points
from pytest_perfguard.engine.history.drift import Drift, drift_of
from pytest_perfguard.engine.history.snapshots import Snapshot

#: Chance that a series without any change shows one.
ALPHA: Final = 0.001


@dataclass(frozen=True)
class HistoryPoint:
    """One recording."""

    label: str
    at: str
    value: float


@dataclass(frozen=True)
class LevelChange:
    """A change of level."""

    index: int
    """Of the first point of the new level."""
    ratio: float


@dataclass(frozen=True)
class Trend:
    """One metric of one test over time, the oldest first."""

    nodeid: str
    machine: str
    metric: str
    unit: str
    points: tuple[HistoryPoint, ...]
    steps: tuple[LevelChange, ...]
    drift: Drift | None
    """None: too few points to tell."""
    stepped: bool = False
    """Do its changes of level together make it worse by more than the threshold?"""
    anchor: float | None = None
    """What the drift is measured from, where it was named; otherwise the first points are."""

    @property
    def worse(self) -> bool:
        """Has it crept, or stepped, above where it began by more than the threshold, beyond all noise?"""
        return (self.drift is not None and self.drift.drifted) or self.stepped

    @property
    def ratio(self) -> float | None:
        """The last point against the first one, or the anchor."""
        first = self.anchor or self.points[0].value
        return self.points[-1].value / first if first > 0 else None


@dataclass(frozen=True)
class HistoryQuery:
    """What is asked of a history."""

    threshold: float
    metrics: Sequence[str] = ()
    """Which metrics, by name or kind; empty: all."""
    anchor: Snapshot | None = None
    """None: the first points of each series."""
    current: bool = False
    """Only tests and machine classes that the last state still has? What is gone cannot be mended."""


def tracks(snapshots: Sequence[Snapshot], question: HistoryQuery) -> list[Trend]:
    """All series that the question asks for, sorted by machine class, test and metric."""
    found: list[Trend] = []
    asked = snapshots[-1:] if question.current else snapshots
    for machine in sorted({name for snapshot in asked for name in snapshot.classes}):
        nodeids = {nodeid for snapshot in asked for nodeid in snapshot.classes.get(machine, {})}
        for nodeid in sorted(nodeids):
            found += _tracks_of(snapshots, machine, nodeid, question)
    return found


def _tracks_of(snapshots: Sequence[Snapshot], machine: str, nodeid: str, question: HistoryQuery) -> Iterator[Trend]:
    recordings = _recordings(snapshots, machine, nodeid)
    last = recordings[-1][1]
    for name in sorted(last.metrics, key=metric_order):
        if question.metrics and name not in question.metrics and name.partition(":")[0] not in question.metrics:
            continue
        points = tuple(
            HistoryPoint(snapshot.label, snapshot.at, record.metrics[name].estimate)
            for snapshot, record in recordings
            if name in record.metrics and record.metrics[name].unit == last.metrics[name].unit
        )
        yield judged(
            nodeid, machine, name, last.metrics[name].unit, points, question, _anchor(question, machine, nodeid, name)
        )


def judged(
    nodeid: str,
    machine: str,
    metric: str,
    unit: str,
    points: tuple[HistoryPoint, ...],
    question: HistoryQuery,
    anchor: float | None,
) -> Trend:
    """The series with its changes of level and its drift."""
    values = [point.value for point in points]
    positive = all(value > 0 for value in values)
    logs = [math.log(value) for value in values] if positive else []
    still = not logs or max(logs) - min(logs) < math.log1p(question.threshold)
    steps = () if still else change_points(logs, alpha=ALPHA, least_step=math.log1p(question.threshold))
    return Trend(
        nodeid, machine, metric, unit, points,
        steps=tuple(LevelChange(found.index, math.exp(found.after - found.before)) for found in steps),
        stepped=_is_above(steps, anchor, question.threshold) or _grew_from_nothing(values),
        drift=drift_of(values, threshold=question.threshold, alpha=ALPHA, anchor=anchor) if positive else None,
        anchor=anchor,
    )  # fmt: skip


def _is_above(steps: Sequence[ChangePoint], anchor: float | None, threshold: float) -> bool:
    """Has it changed its level, and is the last level above the anchor, or else the first level, by more than the threshold?"""
    if not steps:
        return False
    start = math.log(anchor) if anchor else steps[0].before
    return steps[-1].after - start > math.log1p(threshold)


def _grew_from_nothing(values: Sequence[float]) -> bool:
    """Is there something for good where there was nothing at first? It has no ratio, and is the worst that can be."""
    return len(values) >= 2 * LEAST and max(values[:LEAST]) == 0 < min(values[-LEAST:])


def _recordings(snapshots: Sequence[Snapshot], machine: str, nodeid: str) -> list[tuple[Snapshot, Record]]:
    """Each recording once, since the test has its present source: a changed test is another benchmark."""
    found: list[tuple[Snapshot, Record]] = []
    for snapshot in snapshots:
        record = snapshot.classes.get(machine, {}).get(nodeid)
        if record is None or (found and found[-1][1] == record):  # the commit was about other tests
            continue
        if found and record.source and found[-1][1].source and record.source != found[-1][1].source:
            found = []
        found.append((snapshot, record))
    return found


def _anchor(question: HistoryQuery, machine: str, nodeid: str, metric: str) -> float | None:
    if question.anchor is None:
        return None
    record = question.anchor.classes.get(machine, {}).get(nodeid)
    kept = record.metrics.get(metric) if record is not None else None
    return kept.estimate if kept is not None and kept.estimate > 0 else None
