"""When has a baseline been measured long enough, and what of it is kept?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pytest_perfguard.core.metric_names import metric_order
from pytest_perfguard.core.model import Comparison, Finding, Measurement, Record
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.measure.messages import BUSY_MACHINE
from pytest_perfguard.engine.verdict.combine import worst
from pytest_perfguard.engine.verdict.limits import over_budget
from pytest_perfguard.engine.verdict.summary import kept_summary, rounded

#: Processes that a plain `--perf` run takes: enough for a look.
LOOK_PROCESSES: Final = 3
#: Processes of a baseline: without a commit to measure beside, the spread between them decides what can be detected.
RECORDED_PROCESSES: Final = 10
#: Fewer processes of slow tests: from this number on, a baseline takes so many seconds of measuring and no more.
MIN_RECORDED_PROCESSES: Final = 4
RECORDING_SECONDS: Final = 2.0
#: A baseline is worth recording again where the machine was slower by this factor than the run has seen it.
SLOW_MACHINE: Final = 1.15


def judge_look(nodeid: str, measurement: Measurement, settings: Settings, *, final: bool) -> Comparison | None:
    """`--perf`: measured, held against the absolute budgets only."""
    return _unjudged(nodeid, measurement, settings, enough=measurement.processes >= LOOK_PROCESSES, final=final)


def judge_recording(
    nodeid: str, measurement: Measurement, settings: Settings, *, full_pace: float, final: bool
) -> Comparison | None:
    """`--perf-baseline`: measured in a fixed number of processes, fewer of a slow test.

    `full_pace` is the fastest calibration kernel that this run has seen around any test, in seconds.
    """
    slow = measurement.processes >= MIN_RECORDED_PROCESSES and measurement.seconds >= RECORDING_SECONDS
    enough = slow or measurement.processes >= RECORDED_PROCESSES
    doubts = tuple(_confounders(measurement, full_pace))
    told = replace(measurement, notes=(*measurement.notes, *doubts))
    return _unjudged(nodeid, told, settings, enough=enough, final=final)


def _confounders(measurement: Measurement, full_pace: float) -> Iterator[str]:
    """What was wrong with the machine while it was recorded, and what that costs later."""
    cost = (
        "comparisons with it take longer, and without git only large slowdowns are found; record again when it is quiet"
    )
    if measurement.lost > BUSY_MACHINE:
        yield f"recorded while other processes had the CPU for up to {measurement.lost:.0%} of the time: {cost}"
    elif measurement.kernel > SLOW_MACHINE * full_pace:
        yield f"recorded while the machine was {measurement.kernel / full_pace:.1f} times slower than at its best: {cost}"


def to_record(measurement: Measurement, *, source: str, commit: str) -> Record:
    """What the baseline file keeps of a measurement."""
    metrics = {name: kept_summary(samples) for name, samples in measurement.samples.items()}
    return Record(
        source,
        commit,
        rounded(measurement.kernel),
        dict(measurement.iterations),
        metrics,
        dict(measurement.conditions),
        tuple(rounded(pace) for pace in measurement.paces),
        tuple(measurement.imports),
        dict(measurement.calls),
    )


def _unjudged(
    nodeid: str, measurement: Measurement, settings: Settings, *, enough: bool, final: bool
) -> Comparison | None:
    if not final and (not enough or None in over_budget(measurement, settings, final=False)):
        return None
    budgets = over_budget(measurement, settings, final=True)
    findings = [
        Finding(name, samples.unit, None, samples.estimate, rounds=samples.rounds)
        for name, samples in sorted(measurement.samples.items(), key=lambda item: metric_order(item[0]))
    ]
    held = [finding for finding in budgets if finding is not None]
    verdict = worst([finding.verdict for finding in held if finding.verdict is not None])
    return Comparison(nodeid, verdict, (*findings, *held), measurement)
