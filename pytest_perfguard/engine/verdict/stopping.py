"""Decide when a measurement that has nothing to compare with is long enough, and make the record of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from pytest_perfguard.core.metric_names import metric_order
from pytest_perfguard.core.metric_stats import rounded
from pytest_perfguard.core.model import Comparison, Finding, Measurement, Record
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.measure.messages import BUSY_SHARE
from pytest_perfguard.engine.verdict.combine import most_severe
from pytest_perfguard.engine.verdict.limits import judge_limits

#: Processes of a plain `--perf` run, in which nothing is compared: enough for a first impression.
QUICK_PROCESSES: Final = 1
#: A test beside which the machine was slow is measured in further processes, up to this number in all.
MAX_QUICK_PROCESSES: Final = 2
#: Processes of a test that has no baseline, in a run that compares the others.
LOOK_PROCESSES: Final = 3
#: Processes of a baseline. Without a commit to measure beside, their spread decides which changes can be detected.
RECORDED_PROCESSES: Final = 10
#: A slow test is recorded in fewer processes: at least this number, as soon as they took this number of seconds.
MIN_RECORDED_PROCESSES: Final = 4
RECORDING_SECONDS: Final = 2.0
#: The machine counts as slow beside a test from this factor on, against its best in the run. A baseline should be
#: recorded again then.
SLOW_MACHINE: Final = 1.15


def judge_look(
    nodeid: str, measurement: Measurement, settings: Settings, *, final: bool, processes: int = LOOK_PROCESSES
) -> Comparison | None:
    """Return the result of a test without a baseline, which is held to absolute limits only; None: go on measuring.

    It takes this number of `processes`, and more where a limit or a claim is not settled by these.
    """
    return _unjudged(nodeid, measurement, settings, enough=measurement.processes >= processes, final=final)


def measured_slowly(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the tests of a quick look that need another process, because the machine was slow while they were measured."""
    speeds = {item.nodeid: item.measurement.kernel for item in comparisons if item.measurement.kernel}
    best = min(speeds.values(), default=0.0)
    return [
        item.nodeid
        for item in comparisons
        if speeds.get(item.nodeid, 0.0) > SLOW_MACHINE * best and item.measurement.processes < MAX_QUICK_PROCESSES
    ]


def judge_recording(
    nodeid: str, measurement: Measurement, settings: Settings, *, full_pace: float, final: bool
) -> Comparison | None:
    """Return the result of `--perf-baseline`; None while more processes are needed.

    Parameters
    ----------
    full_pace
        the shortest time of the calibration kernel beside any test of this run, in seconds.
    """
    slow = measurement.processes >= MIN_RECORDED_PROCESSES and measurement.seconds >= RECORDING_SECONDS
    enough = slow or measurement.processes >= RECORDED_PROCESSES
    noted = replace(measurement, notes=(*measurement.notes, *_confounders(measurement, full_pace)))
    return _unjudged(nodeid, noted, settings, enough=enough, final=final)


def _confounders(measurement: Measurement, full_pace: float) -> Iterator[str]:
    """Yield notes on disturbances of the recording and their cost for later comparisons."""
    cost = (
        "comparisons with it take longer, and without git only large slowdowns are found; record again when it is quiet"
    )
    if measurement.lost > BUSY_SHARE:
        yield f"recorded while other processes had the CPU for up to {measurement.lost:.0%} of the time: {cost}"
    elif measurement.kernel > SLOW_MACHINE * full_pace:
        yield f"recorded while the machine was {measurement.kernel / full_pace:.1f} times slower than at its best: {cost}"


def to_record(measurement: Measurement, *, source: str, commit: str) -> Record:
    """Return the record of a measurement, as the baseline file holds it."""
    return Record(
        source,
        commit,
        rounded(measurement.kernel),
        dict(measurement.iterations),
        {name: stats.as_stored() for name, stats in measurement.samples.items()},
        dict(measurement.conditions),
        tuple(map(rounded, measurement.paces)),
        tuple(measurement.imports),
        dict(measurement.calls),
        measurement.counting,
        round(measurement.lost, 2) if measurement.lost > BUSY_SHARE else 0.0,
    )


def _unjudged(
    nodeid: str, measurement: Measurement, settings: Settings, *, enough: bool, final: bool
) -> Comparison | None:
    if not final and (not enough or None in judge_limits(measurement, settings, final=False)):
        return None
    amounts = [
        Finding(name, stats.unit, None, stats.estimate, rounds=stats.rounds)
        for name, stats in sorted(measurement.samples.items(), key=lambda item: metric_order(item[0]))
    ]
    limits = [finding for finding in judge_limits(measurement, settings, final=True) if finding is not None]
    verdict = most_severe(finding.verdict for finding in limits)
    return Comparison(nodeid, verdict, (*amounts, *limits), measurement)
