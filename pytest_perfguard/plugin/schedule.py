"""Order of the measurements: tests by themselves, then side by side with a revision, then leak checks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pytest_perfguard.core.errors import RevisionError, WrongCode
from pytest_perfguard.core.model import Comparison, Measurement, Record, Verdict
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.core.text import plural
from pytest_perfguard.engine.instructions.sources import NoSource, Source, find_source
from pytest_perfguard.engine.runner.alternating import AlternatingRunner
from pytest_perfguard.engine.runner.base_tree import Arms, BaseBuild, RunPaths, prepare_arms
from pytest_perfguard.engine.runner.leak_runner import LeakRunner, leak_budget
from pytest_perfguard.engine.runner.pair_runner import PairRunner
from pytest_perfguard.engine.runner.pair_workers import PairOptions
from pytest_perfguard.engine.runner.process import Launch, WorkerProgram
from pytest_perfguard.engine.runner.runner import Runner
from pytest_perfguard.engine.runner.scheduler import MeasuredTest, Progress
from pytest_perfguard.engine.verdict.confirmation import SUSPECT, settles, why_unsettled
from pytest_perfguard.engine.verdict.instructions import needs_witness
from pytest_perfguard.engine.verdict.leaks import with_leaks
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.engine.verdict.paired import MAX_PAIRS, Pairs
from pytest_perfguard.plugin.capture import error_summary
from pytest_perfguard.plugin.counting import Counting, available_source, is_counted, is_timed
from pytest_perfguard.plugin.modes.base import Mode, PairedBatch, PairingMode
from pytest_perfguard.plugin.options import child_arguments, run_settings
from pytest_perfguard.plugin.output import usage_error
from pytest_perfguard.plugin.start_state import environment_at_start

#: Variables with which coverage starts itself in subprocesses; measuring processes run without it.
_COVERAGE_ENVIRONMENT = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COV_CORE_SOURCE", "COV_CORE_CONFIG")
#: A measuring process runs pytest, whose session takes its work from the pipe.
PYTEST_PROGRAM = WorkerProgram("import pytest; sys.exit(pytest.main(sys.argv[1:]))", "--perf-child")


class Schedule:
    """Measures tests and collects their verdicts in `comparisons`, which is valid even if the measuring is interrupted."""

    def __init__(
        self,
        config: pytest.Config,
        mode: Mode,
        on_progress: Callable[[Progress], None],
        announce: Callable[[str], None],
        *,
        path: Sequence[str],
        fingerprints: Mapping[str, str],
    ) -> None:
        self._config = config
        self._mode = mode
        self._on_progress = on_progress
        self._announce = announce
        self._launch = Launch(
            child_arguments(config),
            config.invocation_params.dir,
            PYTEST_PROGRAM,
            path=path,
            environment={
                name: value for name, value in environment_at_start(config).items() if name not in _COVERAGE_ENVIRONMENT
            },
            fingerprints=fingerprints,
        )
        self.comparisons: dict[str, Comparison] = {}
        self.alone: dict[str, Measurement] = {}
        """Measurements of tests by themselves, with the machine's speed, including tests whose verdict is a pair's."""
        self._unsettled: dict[str, str] = {}
        """By node id, the reason why measuring in pairs did not settle the verdict."""
        self.processes = 0
        self.remarks: list[str] = []
        """Notes on the tests that were measured side by side, or the reason why they were not."""

    def run(self, tests: Sequence[MeasuredTest]) -> None:
        """Measure and judge every test.

        Raises
        ------
        pytest.UsageError
            if the revision that the user named cannot be measured, or nothing can count a test that is to be counted.
        """
        if any(map(is_counted, tests)):  # by its marker: found before anything is measured in vain
            _source()
        timed = [test for test in tests if is_timed(test)]
        plan = self._mode.plan(timed)
        self.comparisons |= plan.settled
        self.comparisons |= self._measure_alone(plan.alone)
        self.alone = {nodeid: comparison.measurement for nodeid, comparison in self.comparisons.items()}
        if isinstance(self._mode, PairingMode):
            self._measure_pairs(self._mode, tests if self._mode.name == "against" else timed)
        self._count_alone(tests)
        self._explain_alone(tests)
        self._check_leaks([test for test in tests if test.settings.checks_leaks])

    def _measure_pairs(self, mode: PairingMode, tests: Sequence[MeasuredTest]) -> None:
        batches = mode.batches(tests, self.comparisons)
        for index, batch in enumerate(batches):
            try:
                self._measure_batch(mode, batch)
            except (RevisionError, WrongCode) as error:
                if not mode.may_fall_back:
                    raise usage_error(error) from None
                self.remarks.append(f"not measured side by side with {batch.revision.label}: {error}")
                self._judge_by_file(mode, [test for rest in batches[index:] for test in rest.tests])
                break
            self._check_budgets([test for test in batch.tests if is_timed(test)])
        self._judge_by_file(mode, [test for test in tests if test.nodeid in self._unsettled])

    def _judge_by_file(self, mode: PairingMode, tests: Sequence[MeasuredTest]) -> None:
        """Judge by the baseline file alone the tests that measuring in pairs did not settle."""
        mode.without_pairs.update(test.nodeid for test in tests)
        for nodeid, comparison in self._measure_alone(mode.plan(tests).alone).items():
            reason = self._unsettled.get(nodeid)
            notes = (*comparison.measurement.notes, *([reason] if reason else []))
            self.comparisons[nodeid] = replace(comparison, measurement=replace(comparison.measurement, notes=notes))

    def give_up(self, tests: Sequence[MeasuredTest], error: Exception) -> None:
        """Fail these tests, because the measuring ended with this error."""
        for test in tests:
            known = self.comparisons.get(test.nodeid) or Comparison(test.nodeid, None)
            self.comparisons[test.nodeid] = replace(known, broken=f"the measuring stopped: {explain_error(error)}")

    def _measure_alone(self, tests: Sequence[MeasuredTest]) -> dict[str, Comparison]:
        if not tests:
            return {}
        runner = Runner(
            tests,
            self._launch,
            self._mode.judge,
            report_progress=self._on_progress,
            max_passes=self._mode.max_processes,
            reopen=self._mode.reopened,
            summarize=error_summary,
        )
        runner.usual_passes = self._mode.usual_processes
        try:
            runner.run()
        except BaseException:
            self.comparisons |= runner.comparisons
            raise
        finally:
            self.processes += runner.processes
        return runner.comparisons

    def _check_budgets(self, tests: Sequence[MeasuredTest]) -> None:
        """Judge absolute budgets of tests that the base does not have; a budget needs no base."""
        undecided = [
            test
            for test in tests
            if self.comparisons[test.nodeid].verdict in (Verdict.NEW, Verdict.INCOMPARABLE)
            and (test.settings.has_limits or self.comparisons[test.nodeid].measurement.claims)
        ]
        for nodeid, comparison in self._measure_alone(undecided).items():
            if comparison.verdict is Verdict.OVER_LIMIT or comparison.broken:
                self.comparisons[nodeid] = comparison

    def _check_leaks(self, tests: Sequence[MeasuredTest]) -> None:
        """Check tests for leaks in separate processes: tracing and emptied caches would distort timings."""
        known = self.comparisons
        waiting = [test for test in tests if test.nodeid in known and not known[test.nodeid].broken]
        if not waiting:
            return
        limit = sum(leak_budget(test.settings) for test in waiting)
        self._announce(
            f"perf: checking {plural(len(waiting), 'test')} for leaks, within the budget: at most about {limit:.0f} s"
        )
        leak_runner = LeakRunner(waiting, self._launch, report_progress=self._on_progress, summarize=error_summary)
        try:
            leak_runner.run()
        except Exception as error:
            self.give_up([test for test in waiting if test.nodeid not in leak_runner.comparisons], error)
            raise
        finally:
            for nodeid, checked in leak_runner.comparisons.items():
                self.comparisons[nodeid] = with_leaks(self.comparisons[nodeid], checked)
            self.processes += leak_runner.processes

    def _measure_batch(self, mode: PairingMode, batch: PairedBatch) -> None:
        settings = run_settings(self._config)
        rootdir, inifile = self._config.rootpath, self._config.inipath
        files = [Path(test.path) for test in batch.tests]
        suite = RunPaths(rootdir, files, inifile)
        build = BaseBuild(settings.base_command, settings.base_python)
        family = len(batch.tests)

        def judge(nodeid: str, pairs: Pairs, spent: Spent) -> Comparison | None:
            return mode.judge_pair(nodeid, pairs, family, spent)

        self._announce(f"perf: checking out {batch.revision.label}")
        with prepare_arms(batch.revision, self._launch, suite, build) as arms:
            timed = [test for test in batch.tests if is_timed(test)]
            options = PairOptions(
                arms.base, arms.head, judge, arms.audit, revision=batch.revision.label, reasons=batch.reasons,
                summarize=error_summary, report_progress=self._on_progress, max_passes=MAX_PAIRS,
            )  # fmt: skip
            tests = [self._with_known_conditions(test) for test in timed]
            runner = PairRunner(tests, options, exists_at_base=arms.base_tests.has)
            self._run_pairs(runner)
            self.remarks += arms.remarks(batch.revision)
            if collided := [test for test in timed if test.nodeid in runner.collisions]:
                self._announce(
                    "perf: some tests need a resource that exists only once: measuring them with one arm at a time"
                )
                self._run_pairs(AlternatingRunner(collided, options, collisions=runner.collisions))
            if self._mode.name == "against":
                self._count_arms(batch, arms)
            self._explain(batch, arms, {test.nodeid for test in collided})

    def _count_arms(self, batch: PairedBatch, arms: Arms) -> None:
        """Count the instructions of tests in both arms."""
        tests = [test for test in batch.tests if is_counted(test) and self._is_whole(test)]
        if tests:
            with self._counting() as counting:
                self.comparisons |= counting.count_arms(
                    tests, (arms.base, arms.head), self.comparisons, revision=batch.revision.label,
                    exists_at_base=arms.base_tests.has, check_modules=partial(_audit, arms),
                )  # fmt: skip

    def _count_alone(self, tests: Sequence[MeasuredTest]) -> None:
        """Count the instructions of tests that were measured by themselves, and of those whose time is suspect."""
        if self._mode.name == "against":
            return
        counted = [test for test in tests if is_counted(test) or self._is_witnessed(test)]
        counted = [test for test in counted if self._is_whole(test)]
        if counted:
            with self._counting() as counting:
                self.comparisons |= counting.count(
                    counted, self._launch, self.comparisons, self._count_record,
                    passes=self._mode.count_processes, judges=self._mode.name == "compare",
                    unjudged=self._mode.unjudged_count,
                )  # fmt: skip

    @contextlib.contextmanager
    def _counting(self) -> Iterator[Counting]:
        counting = Counting(_source(), self._on_progress, self._announce)
        try:
            yield counting
        finally:
            self.processes += counting.processes

    def _is_whole(self, test: MeasuredTest) -> bool:
        """Return whether the test may be counted: it was not timed, or it could be."""
        known = self.comparisons.get(test.nodeid)
        return known is None or not (known.broken or (known.pairing is not None and not known.findings))

    def _is_witnessed(self, test: MeasuredTest) -> bool:
        """Return whether the test's time is suspect, no pair settled it, and its record has counts that can."""
        known = self.comparisons.get(test.nodeid)
        if self._mode.name != "compare" or known is None or not run_settings(self._config).confirm:
            return False
        return needs_witness(known) and self._count_record(test) is not None

    def _count_record(self, test: MeasuredTest) -> Record | None:
        source = available_source()
        return None if source is None else self._mode.count_record_of(test.nodeid, source.conditions)

    def _explain(self, batch: PairedBatch, arms: Arms, apart: Collection[str]) -> None:
        """Profile both sides of what got worse, in processes of their own; a run without any loads no profiler."""
        worse = [test for test in batch.tests if _is_explained(test, self.comparisons.get(test.nodeid))]
        if worse:
            from pytest_perfguard.plugin.explaining import with_explanations

            self._announce(f"perf: profiling both sides of {plural(len(worse), 'test')}")
            self.comparisons |= with_explanations(
                arms, self._config.rootpath, batch.revision.commit, worse, self.comparisons, apart=apart
            )

    def _explain_alone(self, tests: Sequence[MeasuredTest]) -> None:
        """Profile tests that were measured alone: count calls for the baseline file, or compare them with its counts."""
        chosen = [test for test in tests if test.settings.explain != "off"]
        launch, rootdir = self._launch, self._config.rootpath
        if self._mode.name == "baseline":
            counted = [test for test in chosen if _is_measured(self.comparisons.get(test.nodeid))]
            if counted:
                from pytest_perfguard.plugin.explaining import with_calls

                self.comparisons |= with_calls(launch, rootdir, counted, self.comparisons)
            return
        calls = {
            test.nodeid: recorded
            for test in chosen
            if _is_unexplained(self.comparisons.get(test.nodeid)) and (recorded := self._recorded_calls(test))
        }
        worse = [test for test in chosen if test.nodeid in calls]
        if worse:
            from pytest_perfguard.plugin.explaining import with_counted_explanations

            self._announce(f"perf: profiling {plural(len(worse), 'test')}")
            self.comparisons |= with_counted_explanations(launch, rootdir, worse, self.comparisons, calls)

    def _recorded_calls(self, test: MeasuredTest) -> Mapping[str, float]:
        """Return the numbers of calls that the baseline file holds, of another class of machines where it holds only those."""
        record = self._mode.record_of(test.nodeid) or (self._count_record(test) if is_counted(test) else None)
        return record.calls if record else {}

    def _run_pairs(self, runner: PairRunner | AlternatingRunner) -> None:
        try:
            runner.run()
        finally:
            for nodeid, paired in runner.comparisons.items():
                self._record(nodeid, paired)
            self.processes += runner.processes

    def _record(self, nodeid: str, paired: Comparison) -> None:
        """Record the verdict of the pairs. If it does not settle a suspect, the baseline file has to give the verdict."""
        screened = self.comparisons.get(nodeid)
        if screened is not None and screened.verdict in SUSPECT and not settles(paired):
            self._unsettled[nodeid] = why_unsettled(paired, error_summary)
        else:
            self._unsettled.pop(nodeid, None)  # pairs with one arm at a time settle tests that others could not
            self.comparisons[nodeid] = paired

    def _with_known_conditions(self, test: MeasuredTest) -> MeasuredTest:
        """Return the test with the results of measuring it alone: iterations per round, and whether it runs in parallel."""
        alone = self.alone.get(test.nodeid)
        if alone is None or not alone.samples:
            return test
        return replace(test, iterations=alone.iterations, parallel=alone.conditions.get("parallel", False))


def _audit(arms: Arms, modules: Sequence[Mapping[str, str]]) -> None:
    """Check that both arms imported the code of their own tree."""
    base, head = modules
    arms.audit.start_pair()
    arms.audit.check(base, head)


def _is_explained(test: MeasuredTest, comparison: Comparison | None) -> bool:
    """Return whether the test is profiled on both sides."""
    if comparison is None or comparison.pairing is None or comparison.broken or test.settings.explain == "off":
        return False
    return test.settings.explain == "on" or comparison.verdict is Verdict.REGRESSION


def _is_measured(comparison: Comparison | None) -> bool:
    return comparison is not None and not comparison.broken and bool(comparison.measurement.samples)


def _is_unexplained(comparison: Comparison | None) -> bool:
    """Return whether the test got worse by the baseline file alone: what pairs showed has an explanation."""
    return comparison is not None and comparison.verdict is Verdict.REGRESSION and comparison.explanation is None


def _source() -> Source:
    """Return what counts instructions on this machine.

    Raises
    ------
    pytest.UsageError
        if nothing does.
    """
    try:
        return find_source()
    except NoSource as error:
        raise usage_error(error) from None
