"""Judge counts of executed instructions: nearly exact, hence without statistics (docs/instructions.md).

Each process has a fixed hash seed and memory layout of its own, the same on both sides. The first process clears a test
whose count is within the limit. A test beyond the limit is counted once more with another seed and layout, which shows how
much the count of unchanged code differs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from pytest_perfguard.core.metric_names import metric_kind, metric_order
from pytest_perfguard.core.model import Comparison, Finding, Measurement, Record, Verdict
from pytest_perfguard.core.option_specs import PAIRED_THRESHOLD, STORED_THRESHOLD
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.measure.messages import BUSY_SHARE
from pytest_perfguard.engine.verdict.combine import most_severe
from pytest_perfguard.engine.verdict.comparability import changed_source
from pytest_perfguard.engine.verdict.looks import SUSPICIOUS
from pytest_perfguard.engine.verdict.machine_speed import NEAR_FULL_SPEED
from pytest_perfguard.engine.verdict.metric_comparison import MetricComparison

KIND: Final = "instructions"
#: Largest acceptable change where the test has no threshold of its own: 1 %, less a tenth. One percent more of what a test
#: calls is a little less of the test, because its own code stays as it is, and would be accepted by a limit of 1 %.
COUNT_THRESHOLD: Final = 0.009
#: Processes that count each side: with one seed and layout each.
COUNT_PROCESSES: Final = 2
#: A change has to exceed the difference of the changes that two processes, medians and minima show by this factor.
SPREAD_FACTOR: Final = 3.0
#: Why a suspect time is unchanged.
CLEARED: Final = (
    "the code executes no more instructions than its baseline, and the machine explains the time; counts do not show caches "
    "and waiting"
)
#: Share of CPU time from which on a test computes: of one that waits, the instructions are the smaller part.
COMPUTES: Final = 0.95


def count_threshold(settings: Settings) -> float:
    """Return the largest acceptable change: just below 1 %, or the threshold that the user has chosen."""
    is_default = settings.threshold in (STORED_THRESHOLD, PAIRED_THRESHOLD)
    return COUNT_THRESHOLD if is_default else settings.threshold


def judge_instructions(metric: MetricComparison) -> Finding | None:
    """Return the finding on a count; None while a process with another seed and layout has to confirm a change."""
    record, measurement = metric.record, metric.measurement
    base, now = metric.base.medians, metric.now.medians
    if record.counting != measurement.counting:
        reason = f"counted under other conditions: {other_conditions(record.counting, measurement.counting)}"
        return replace(metric.finding(Verdict.UNCHANGED, 0.0, reason), verdict=None, limit=None)
    medians = _ratios(base, now)
    is_first = not metric.final and len(now) < COUNT_PROCESSES
    # Of random work the rounds differ as well: a change shows in the least of them, too, and by as much.
    ratios = medians if is_first else [*medians, *_ratios(metric.base.minima, metric.now.minima)]
    unsteady, spread = relative_range(ratios), max(relative_range(base), relative_range(now))
    threshold = max(count_threshold(metric.settings), SPREAD_FACTOR * unsteady, spread)
    verdict = _verdict(ratios, threshold)
    if verdict is not Verdict.UNCHANGED and is_first:
        return None
    baseline = statistics.median(base[: len(now)])  # of the same seeds and layouts as the counts of now
    reason = _unsteady(max(unsteady, spread), threshold) if threshold > count_threshold(metric.settings) else ""
    finding = metric.finding(verdict, baseline * (1 + threshold), reason, interval=(min(ratios), max(ratios)))
    return replace(finding, baseline=baseline, estimated_ratio=statistics.fmean(medians))


def _ratios(base: Sequence[float], now: Sequence[float]) -> list[float]:
    """Return the change in each process, where both sides have it."""
    return [after / before for before, after in zip(base, now, strict=False) if before > 0] or [1.0]


def other_conditions(recorded: str, now: str) -> str:
    """Return the differences between the conditions of two counts."""
    before, after = (text.split(", ") if text else [] for text in (recorded, now))
    gone = ", ".join(part for part in before if part not in after)
    added = ", ".join(part for part in after if part not in before)
    if not recorded:
        return f"recorded under unknown ones, here with {now}"
    return f"recorded {f'with {gone}' if gone else 'without this'}, here {f'with {added}' if added else 'without this'}"


def why_incomparable(records: Sequence[Record], source: str, conditions: str) -> str:
    """Return why counts of these conditions can be compared with none of the records of a test.

    Hashes of sources are compared under equal conditions only: they depend on the version of Python.
    """
    known = [record for record in records if record.counting]
    if not known:
        return "recorded without instructions"
    same = [record for record in known if record.counting == conditions]
    if same and (reason := changed_source(same[0], source)):
        return reason
    return f"counted under other conditions: {min((other_conditions(each.counting, conditions) for each in known), key=len)}"


def relative_range(values: Sequence[float]) -> float:
    """Return the relative difference between the largest and the smallest value; 0 for a single one.

    Of ratios it is the uncertainty of the change. Of the counts of one side it is what another hash seed
    and memory layout change, most of which the other side has as well.
    """
    return max(values) / min(values) - 1 if min(values) > 0 else 0.0


def _verdict(ratios: Sequence[float], threshold: float) -> Verdict:
    if min(ratios) > 1 + threshold:
        return Verdict.REGRESSION
    return Verdict.IMPROVEMENT if max(ratios) < 1 / (1 + threshold) else Verdict.UNCHANGED


def _unsteady(spread: float, threshold: float) -> str:
    return (
        f"counts of the same code differ by {spread:.1%} between rounds, or between processes with another hash seed and "
        f"memory layout, so only changes of more than {threshold:.1%} count"
    )


def judge_counts(
    record: Record | None, measurement: Measurement, settings: Settings, *, final: bool
) -> list[Finding] | None:
    """Return the findings on all counts of a test; None while another process has to confirm one.

    Without a record, or for a point that it lacks, a count is reported and not judged.
    """
    names = sorted((name for name in measurement.samples if metric_kind(name) == KIND), key=metric_order)
    findings: list[Finding] = []
    for name in names:
        now = measurement.samples[name].as_stored()
        if record is None or name not in record.metrics:
            findings.append(Finding(name, now.unit, None, now.estimate, rounds=now.rounds))
            continue
        found = judge_instructions(MetricComparison(name, record, now, measurement, settings, final))
        if found is None:
            return None
        findings.append(found)
    return findings


def with_counts(
    comparison: Comparison, findings: Sequence[Finding], counted: Measurement, details: Mapping[str, Sequence[str]]
) -> Comparison:
    """Return the comparison with the findings on counts added.

    A test whose times are not comparable gets the verdict of its counts, which are. `details` holds lines by metric.
    """
    shown = tuple(replace(finding, details=tuple(details.get(finding.name, ()))) for finding in findings)
    verdicts = [finding.verdict for finding in shown]
    known = comparison.measurement
    notes = known.notes
    verdict, reason = comparison.verdict, comparison.reason
    if verdict is Verdict.INCOMPARABLE and most_severe(verdicts) is not None:
        notes = (*notes, f"times were not compared: {reason}") if reason else notes
        verdict, reason = None, ""
    measurement = replace(
        known,
        samples={**known.samples, **counted.samples},
        iterations=known.iterations or counted.iterations,
        paces=known.paces or counted.paces,
        processes=known.processes or counted.processes,
        seconds=known.seconds + counted.seconds,
        notes=(*notes, *(note for note in counted.notes if note not in notes)),
        counting=counted.counting,
    )
    merged = most_severe([verdict, *verdicts])
    return replace(
        comparison,
        verdict=merged,
        findings=(*comparison.findings, *shown),
        measurement=measurement,
        reason=reason,
    )


def needs_witness(comparison: Comparison) -> bool:
    """Return whether the baseline file left a time open or suspect, and no pair has settled it."""
    if comparison.broken or comparison.pairing is not None:
        return False
    return any(map(_is_suspect, comparison.findings))


def settled_by_counts(comparison: Comparison, record: Record) -> Comparison:
    """Return the comparison with its suspect times settled by its counts, where these can settle them.

    Counts that did not grow clear the time of a test that computes: if it is open and near the limit, or if the machine was
    slower than at the recording. They clear no clear slowdown at full speed, since caches and waiting do not show in them.
    Counts that grew confirm the time.
    """
    measurement = comparison.measurement
    if not needs_witness(comparison) or measurement.busy < COMPUTES:
        return comparison
    counts = {_point(finding): finding for finding in comparison.findings if metric_kind(finding.name) == KIND}
    findings = tuple(_settled(each, counts.get(_point(each)), record, measurement) for each in comparison.findings)
    verdict = most_severe(finding.verdict for finding in findings)
    return replace(comparison, verdict=verdict, findings=findings)


def _settled(finding: Finding, count: Finding | None, record: Record, measurement: Measurement) -> Finding:
    if not _is_suspect(finding) or count is None or count.ratio is None:
        return finding
    if count.verdict in (Verdict.UNCHANGED, Verdict.IMPROVEMENT):
        is_large = finding.verdict is Verdict.REGRESSION or (finding.change or 0.0) > math.exp(SUSPICIOUS)
        if is_large and not _was_slow(record, measurement):
            return finding
        return replace(finding, verdict=Verdict.UNCHANGED, reason=CLEARED, smallest=None)
    if count.verdict is Verdict.REGRESSION and finding.change is not None and finding.change > 1:
        return replace(
            finding, verdict=Verdict.REGRESSION, reason="confirmed by its count of instructions", smallest=None
        )
    return finding


def _is_suspect(finding: Finding) -> bool:
    return (
        metric_kind(finding.name) in ("time", "cpu")
        and finding.baseline is not None
        and finding.verdict in (Verdict.REGRESSION, Verdict.INCONCLUSIVE)
    )


def _was_slow(record: Record, measurement: Measurement) -> bool:
    """Return whether the machine was slower than at the recording, or shared with other processes."""
    known = [pace for pace in measurement.paces if pace > 0]
    slow = bool(known) and record.kernel > 0 and min(known) > NEAR_FULL_SPEED * record.kernel
    return slow or measurement.lost > BUSY_SHARE


def _point(finding: Finding) -> str:
    return finding.name.partition(":")[2]
