"""Compare two records of one test, as `--perf-compare` would. Nothing is measured."""

from __future__ import annotations

from pytest_perfguard.core.model import Comparison, Measurement, Record, Verdict
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.verdict.comparability import changed_source
from pytest_perfguard.engine.verdict.stored import judge_stored


def judge_records(nodeid: str, baseline: Record | None, candidate: Record | None, settings: Settings) -> Comparison:
    """Return the verdict of `--perf-compare` on the run that made the candidate, against the baseline.

    A test of one side only is new or missing. There are no pairs to settle an open question.
    """
    if baseline is None:
        return Comparison(nodeid, Verdict.NEW, reason="only in the second file")
    if candidate is None:
        return Comparison(nodeid, Verdict.MISSING, reason="only in the first file")
    if reason := changed_source(baseline, candidate.source):
        return Comparison(nodeid, Verdict.INCOMPARABLE, reason=reason)
    comparison = judge_stored(nodeid, baseline, _measurement(candidate), settings, final=True)
    if comparison is None:  # None requests another process, which a final judgement never does
        raise AssertionError(f"{nodeid}: judge_stored returned no verdict for a final judgement")
    return comparison


def _measurement(record: Record) -> Measurement:
    """Return the measurement behind the record, as far as the record holds it."""
    return Measurement(
        samples=record.metrics,
        iterations=record.iterations,
        kernel=record.kernel,
        paces=record.paces,
        busy=_busy(record),
        lost=record.lost,
        processes=max((len(stats.minima) for stats in record.metrics.values()), default=0),
        conditions=record.conditions,
        imports=record.imports,
        counting=record.counting,
    )


def _busy(record: Record) -> float:
    """Return the share of CPU time; 1 where it was not measured."""
    time, cpu = record.metrics.get("time"), record.metrics.get("cpu")
    return min(1.0, cpu.minimum / time.minimum) if time and cpu and time.minimum > 0 else 1.0
