"""When has a baseline been measured long enough, and what of it is kept?"""

from __future__ import annotations

from typing import Final

from pytest_perfguard.judge.conclusion import worst
from pytest_perfguard.judge.limits import over_budget
from pytest_perfguard.judge.pace import at_full_pace
from pytest_perfguard.metrics import metric_order
from pytest_perfguard.model import Comparison, Finding, Measurement, Record, Recorded
from pytest_perfguard.settings import Settings

#: Processes that a plain `--perf` run takes: enough for a look.
LOOK_PROCESSES: Final = 3
#: Processes at full pace that a baseline needs: the rank test of a comparison has then enough to rank.
LEAST_PROCESSES: Final = 10
#: Behind a test that fills the caches the kernel itself runs a few percent slower; a slow machine is 40 % slower.
NEAR_FULL_PACE: Final = 1.10
SIGNIFICANT_DIGITS: Final = 6


def judge_look(nodeid: str, measurement: Measurement, settings: Settings, *, final: bool) -> Comparison | None:
    """`--perf`: measured, held against the absolute budgets only."""
    return _unjudged(nodeid, measurement, settings, enough=measurement.processes >= LOOK_PROCESSES, final=final)


def judge_recording(
    nodeid: str, measurement: Measurement, settings: Settings, *, full_pace: float, final: bool
) -> Comparison | None:
    """`--perf-baseline`: measured until enough processes ran at full pace.

    `full_pace` is the fastest calibration kernel that this run has seen around any test, in seconds: a machine that
    is slow for a while has a pace of its own, and a wrong one.
    """
    paced = sum(at_full_pace(measurement.paces, measurement.kernel))
    enough = measurement.kernel <= NEAR_FULL_PACE * full_pace and paced >= LEAST_PROCESSES
    return _unjudged(nodeid, measurement, settings, enough=enough, final=final)


def to_record(measurement: Measurement, *, source: str, commit: str) -> Record:
    """What the baseline file keeps of a measurement."""
    metrics = {
        name: Recorded(
            unit=samples.unit,
            minima=tuple(rounded(value) for value in samples.minima),
            medians=tuple(rounded(value) for value in samples.medians),
            rounds=samples.rounds,
        )
        for name, samples in measurement.samples.items()
    }
    return Record(
        source,
        commit,
        rounded(measurement.kernel),
        dict(measurement.iterations),
        metrics,
        dict(measurement.conditions),
        tuple(rounded(pace) for pace in measurement.paces),
        tuple(measurement.imports),
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


def rounded(value: float) -> float:
    """What is kept of a number: as many digits as mean something."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
