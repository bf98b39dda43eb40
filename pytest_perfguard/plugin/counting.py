"""Count the instructions of tests after they were timed, and add the counts to their verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pytest_perfguard.core.metric_names import MetricName, metric_kind
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Finding, Measurement, Pairing, Record, Verdict
from pytest_perfguard.core.text import plural
from pytest_perfguard.core.units import format_duration
from pytest_perfguard.engine.instructions.python_names import has_names
from pytest_perfguard.engine.instructions.sources import CALLGRIND, NoSource, Source, find_source
from pytest_perfguard.engine.report.progress import rough_duration
from pytest_perfguard.engine.report.text import function_changes
from pytest_perfguard.engine.runner.count_runner import SLOWDOWN, CountRunner, PointCounts
from pytest_perfguard.engine.runner.process import Launch
from pytest_perfguard.engine.runner.scheduler import MeasuredTest, Progress
from pytest_perfguard.engine.verdict.instructions import (
    COUNT_PROCESSES,
    KIND,
    judge_counts,
    settled_by_counts,
    with_counts,
)
from pytest_perfguard.plugin.capture import error_summary

#: Label of a measurement point -> its counts.
_Counts = Mapping[str, PointCounts]
#: Files of the modules of each side, by module name.
_Modules = Sequence[Mapping[str, str]]
_NO_COUNTS: Final[_Counts] = {}
_IN_BASE: Final = "in the base: "
#: A test that may take longer than this to count is announced.
LONG_COUNT_SECONDS: Final = 60.0


def is_counted(test: MeasuredTest) -> bool:
    """Return whether the test is to be counted."""
    return KIND in test.settings.metrics


def is_timed(test: MeasuredTest) -> bool:
    """Return whether anything but counts is to be measured of the test."""
    return test.settings.metrics != (KIND,)


def source_line(metrics: Sequence[str]) -> list[str]:
    """Return the line for the header of a run with these metrics, which names the source of its counts.

    Raises
    ------
    NoSource
    """
    return [f"perfguard: instructions are counted by {find_source()}"] if KIND in metrics else []


def available_source() -> Source | None:
    """Return the source of this machine, None if there is none."""
    try:
        return find_source()
    except NoSource:
        return None


@dataclass
class _Side:
    """The counts of one test in one tree so far."""

    measurement: Measurement = field(default_factory=Measurement)
    latest: _Counts = field(default_factory=lambda: _NO_COUNTS)

    def add(self, counts: _Counts, seconds: float, source: Source) -> None:
        """Add the counts of one process."""
        samples = dict(self.measurement.samples)
        for label, counted in counts.items():
            name = str(MetricName(KIND, label))
            added = MetricStats.from_rounds(KIND, (counted.values,))
            samples[name] = samples[name].joined(added) if name in samples else added
        self.latest = counts
        self.measurement = replace(
            self.measurement,
            samples=samples,
            iterations={label: counted.iterations for label, counted in counts.items()},
            paces=(0.0,),
            processes=self.measurement.processes + 1,
            seconds=self.measurement.seconds + seconds,
            counting=source.conditions,
        )

    def note(self, text: str) -> None:
        """Add a note to the measurement."""
        self.measurement = replace(self.measurement, notes=(*self.measurement.notes, text))


class Counting:
    """Counts tests in passes: one process for each side, with a hash seed and memory layout of its own."""

    def __init__(
        self, source: Source, on_progress: Callable[[Progress], None], announce: Callable[[str], None]
    ) -> None:
        self._source = source
        self._on_progress = on_progress
        self._announce = announce
        self._pythons: dict[str, str] = {}
        """Version of the interpreter of each arm."""
        self.processes = 0

    def count(
        self,
        tests: Sequence[MeasuredTest],
        launch: Launch,
        known: Mapping[str, Comparison],
        record_of: Callable[[MeasuredTest], Record | None],
        *,
        passes: int,
        judges: bool,
        unjudged: Callable[[MeasuredTest, str], tuple[Verdict, str]],
    ) -> dict[str, Comparison]:
        """Count tests of this tree, and return their comparisons with the counts.

        Parameters
        ----------
        known
            the comparisons so far; a test that is in none was not timed.
        passes
            the number of processes, at most.
        judges
            whether a count that is within its limit, or has none, needs no second process.
        unjudged
            returns the verdict, and its reason, on a test that was not timed and has no record of these conditions.
        """
        heads = {test.nodeid: _Side() for test in tests}

        def judged(test: MeasuredTest, *, final: bool) -> Comparison | None:
            record, head = record_of(test), heads[test.nodeid].measurement
            findings = judge_counts(record, head, test.settings, final=final)
            if findings is None or not (final or judges):
                return None
            comparison = with_counts(known.get(test.nodeid) or Comparison(test.nodeid, None), findings, head, {})
            if comparison.verdict is None and head.notes and not comparison.findings:
                comparison = _with_reason(comparison, Verdict.INCONCLUSIVE, head.notes[0])
            elif comparison.verdict is None and judges:
                comparison = _with_reason(comparison, *unjudged(test, self._source.conditions))
            return _settle(comparison, record)

        return self._passes(tests, [(launch, heads)], judged, _accept_modules, passes)

    def count_arms(
        self,
        tests: Sequence[MeasuredTest],
        launches: tuple[Launch, Launch],
        known: Mapping[str, Comparison],
        *,
        revision: str,
        exists_at_base: Callable[[str, str], bool],
        check_modules: Callable[[_Modules], None],
    ) -> dict[str, Comparison]:
        """Count tests in the base and in this tree, and return their comparisons with the counts of both.

        Parameters
        ----------
        exists_at_base
            returns whether the revision itself has a test of this node id, in this file.
        check_modules
            raises an error if the modules of the base and of the head are not those of the two trees.
        """
        bases, heads = ({test.nodeid: _Side() for test in tests} for _ in launches)

        def judged(test: MeasuredTest, *, final: bool) -> Comparison | None:
            base, head = bases[test.nodeid], heads[test.nodeid]
            record = _as_record(base.measurement)
            findings = judge_counts(record, head.measurement, test.settings, final=final)
            if findings is None:
                return None
            details = _details(findings, base.latest, head.latest)
            comparison = known.get(test.nodeid) or Comparison(
                test.nodeid, None, pairing=Pairing(revision, Measurement(), "", pinned=False)
            )
            comparison = with_counts(comparison, findings, head.measurement, details)
            if comparison.verdict is None:
                verdict, reason = _uncounted(base, head, exists=exists_at_base(test.nodeid, test.path))
                return _with_reason(_with_base(comparison, base), verdict, reason)
            return _with_base(comparison, base)

        sides = list(zip(launches, (bases, heads), strict=True))
        decided = self._passes(tests, sides, judged, check_modules, COUNT_PROCESSES)
        return decided | self._with_python_functions(tests, launches, decided)

    def _with_python_functions(
        self, tests: Sequence[MeasuredTest], launches: tuple[Launch, Launch], decided: Mapping[str, Comparison]
    ) -> dict[str, Comparison]:
        """Return the comparisons of tests whose counts regressed, with the Python functions that execute more."""
        worse = [test for test in tests if test.nodeid in decided and _regressed(decided[test.nodeid])]
        if not worse or self._source.name != CALLGRIND or not all(map(has_names, self._pythons.values())):
            return {}
        base, head = (self._run(worse, launch, 0, names_python=True).counts for launch in launches)
        found = {}
        for test in worse:
            comparison = decided[test.nodeid]
            details = _details(comparison.findings, base.get(test.nodeid, {}), head.get(test.nodeid, {}))
            found[test.nodeid] = _with_details(comparison, details)
        return found

    def _passes(
        self,
        tests: Sequence[MeasuredTest],
        sides: Sequence[tuple[Launch, Mapping[str, _Side]]],
        judged: Callable[..., Comparison | None],
        check_modules: Callable[[_Modules], None],
        passes: int,
    ) -> dict[str, Comparison]:
        undecided, decided = list(tests), dict[str, Comparison]()
        for index in range(passes):
            check_modules([self._one_pass(undecided, launch, found, index) for launch, found in sides])
            final = index + 1 == passes
            for test in undecided:
                failed = any(test.nodeid in found and found[test.nodeid].measurement.notes for _launch, found in sides)
                comparison = judged(test, final=final or failed)
                if comparison is not None:
                    decided[test.nodeid] = comparison
            undecided = [test for test in undecided if test.nodeid not in decided]
            if not undecided:
                break
        return decided

    def _one_pass(
        self, tests: Sequence[MeasuredTest], launch: Launch, found: Mapping[str, _Side], index: int
    ) -> Mapping[str, str]:
        """Count tests in one process; return the files of its modules, by module name."""
        runner = self._run(tests, launch, index)
        for test in tests:
            side = found[test.nodeid]
            if problem := runner.problems.get(test.nodeid):
                side.note(f"its instructions could not be counted: {problem}")
            else:
                side.add(runner.counts.get(test.nodeid, _NO_COUNTS), runner.seconds.get(test.nodeid, 0.0), self._source)
        return runner.modules

    def _run(
        self, tests: Sequence[MeasuredTest], launch: Launch, layout: int, *, names_python: bool = False
    ) -> CountRunner:
        """Count tests in one process; return the runner with the counts."""
        what = "naming the Python functions" if names_python else "counting the instructions"
        arm = f" ({launch.arm})" if launch.arm else ""
        self._announce(f"perf: {what} of {plural(len(tests), 'test')}{arm}")
        if self._source.name == CALLGRIND and (warning := warning_of_long_counts(tests)):
            self._announce(warning)
        runner = CountRunner(
            tests, launch, self._source, layout=layout, summarize=error_summary, report_progress=self._on_progress,
            names_python=names_python,
        )  # fmt: skip
        try:
            runner.run()
        finally:
            self.processes += runner.processes
        self._pythons[launch.arm] = runner.python
        return runner


def warning_of_long_counts(tests: Sequence[MeasuredTest]) -> str:
    """Return a line if tests may take long under callgrind, otherwise an empty string."""
    slow = [test for test in tests if SLOWDOWN * test.functional_seconds > LONG_COUNT_SECONDS]
    seconds = sum(test.functional_seconds for test in slow)
    name = slow[0].nodeid if len(slow) == 1 else plural(len(slow), "test")
    return (
        f"perf: {name} took {format_duration(seconds)} in the ordinary run and may take {rough_duration(SLOWDOWN * seconds)} "
        "to count; metrics= of a test's marker can leave the counting out"
        if slow
        else ""
    )


def _accept_modules(_modules: _Modules) -> None:
    """Accept the modules of this tree alone, which is what its tests import."""


def _uncounted(base: _Side, head: _Side, *, exists: bool) -> tuple[Verdict, str]:
    """Return verdict and reason of a test that was not counted on both sides."""
    if head.measurement.notes:
        return Verdict.INCONCLUSIVE, head.measurement.notes[0]
    reason = next(iter(base.measurement.notes), "the base has no count of it")
    return (Verdict.INCOMPARABLE if exists else Verdict.NEW), f"with the base, {reason}"


def _with_reason(comparison: Comparison, verdict: Verdict, reason: str) -> Comparison:
    """Return the comparison with this verdict for this reason, which is then no note as well."""
    measurement = comparison.measurement
    notes = tuple(note for note in measurement.notes if note.removeprefix(_IN_BASE) not in reason)
    return replace(comparison, verdict=verdict, reason=reason, measurement=replace(measurement, notes=notes))


def _settle(comparison: Comparison, record: Record | None) -> Comparison:
    return comparison if record is None else settled_by_counts(comparison, record)


def _as_record(base: Measurement) -> Record:
    return Record("", "", 0.0, base.iterations, base.samples, counting=base.counting)


def _with_base(comparison: Comparison, base: _Side) -> Comparison:
    """Return the comparison with the counts of the base on its other side, and its notes."""
    pairing = comparison.pairing
    if pairing is None:
        return comparison
    other, counted, mine = pairing.measurement, base.measurement, comparison.measurement
    joined = replace(other, samples={**other.samples, **counted.samples}, counting=counted.counting)
    notes = tuple(f"{_IN_BASE}{note}" for note in counted.notes)
    return replace(
        comparison,
        measurement=replace(mine, notes=(*mine.notes, *notes)),
        pairing=replace(pairing, measurement=joined),
    )


def _details(findings: Sequence[Finding], base: _Counts, head: _Counts) -> dict[str, tuple[str, ...]]:
    """Return the functions that execute more instructions, by metric that regressed."""
    details = {}
    for finding in findings:
        label = finding.name.partition(":")[2]
        if finding.verdict is Verdict.REGRESSION and label in base and label in head:
            details[finding.name] = tuple(function_changes(base[label].functions, head[label].functions))
    return details


def _regressed(comparison: Comparison) -> bool:
    return any(
        finding.verdict is Verdict.REGRESSION and metric_kind(finding.name) == KIND for finding in comparison.findings
    )


def _with_details(comparison: Comparison, details: Mapping[str, Sequence[str]]) -> Comparison:
    """Return the comparison with more lines on its findings, by metric."""
    findings = [
        replace(finding, details=(*finding.details, *(f"in Python: {line}" for line in details.get(finding.name, ()))))
        for finding in comparison.findings
    ]
    return replace(comparison, findings=tuple(findings))
