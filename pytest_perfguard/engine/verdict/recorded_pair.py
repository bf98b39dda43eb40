"""Two records of one test, judged as a baseline and a measurement would be: nothing is run."""

from __future__ import annotations

from pytest_perfguard.core.model import Comparison, Measurement, Record, Recorded, Samples, Verdict
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.verdict.comparability import other_source
from pytest_perfguard.engine.verdict.stored import judge_stored


def judge_records(nodeid: str, baseline: Record | None, candidate: Record | None, settings: Settings) -> Comparison:
    """The verdict of `--perf-compare`, had the run that made the candidate been judged against the baseline.

    A test of one side only is new or missing. No pair can settle what the numbers leave open.
    """
    if baseline is None:
        return Comparison(nodeid, Verdict.NEW, reason="only in the second file")
    if candidate is None:
        return Comparison(nodeid, Verdict.MISSING, reason="only in the first file")
    if reason := other_source(baseline, candidate.source):
        return Comparison(nodeid, Verdict.INCOMPARABLE, reason=reason)
    comparison = judge_stored(nodeid, baseline, _measurement(candidate), settings, final=True)
    if comparison is None:  # it would wait for a further process only before the last
        raise AssertionError(f"{nodeid}: a final judgement is a judgement")
    return comparison


class _Kept(Samples):
    """Samples of which a record has kept the minimum and the median of each process, and not the rounds."""

    def __init__(self, kept: Recorded) -> None:
        # These take the place of what would be worked out of the rounds.
        vars(self).update(unit=kept.unit, processes=(), minima=kept.minima, medians=kept.medians, kept=kept.rounds)

    @property
    def rounds(self) -> int:
        return int(vars(self)["kept"])


def _measurement(record: Record) -> Measurement:
    """As far as a record keeps it."""
    return Measurement(
        samples={name: _Kept(kept) for name, kept in record.metrics.items()},
        iterations=record.iterations,
        kernel=record.kernel,
        paces=record.paces,
        busy=_busy(record),
        processes=max((len(kept.minima) for kept in record.metrics.values()), default=0),
        conditions=record.conditions,
        imports=record.imports,
    )


def _busy(record: Record) -> float:
    """Share of CPU time; 1 where it was not taken."""
    time, cpu = record.metrics.get("time"), record.metrics.get("cpu")
    return min(1.0, cpu.minimum / time.minimum) if time and cpu and time.minimum > 0 else 1.0
