"""Order of the measurements: tests by themselves, then side by side with a revision, then leak checks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_perfguard.core.errors import RevisionError, WrongCode
from pytest_perfguard.core.model import Comparison, Measurement, Verdict
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.core.text import plural
from pytest_perfguard.engine.runner.alternating import AlternatingRunner
from pytest_perfguard.engine.runner.base_tree import Arms, BaseBuild, RunPaths, prepare_arms
from pytest_perfguard.engine.runner.leak_runner import LeakRunner, leak_budget
from pytest_perfguard.engine.runner.pair_runner import PairRunner
from pytest_perfguard.engine.runner.process import Launch, WorkerProgram
from pytest_perfguard.engine.runner.runner import Runner
from pytest_perfguard.engine.runner.scheduler import MeasuredTest, Progress
from pytest_perfguard.engine.verdict.confirmation import SUSPECT, settles, why_unsettled
from pytest_perfguard.engine.verdict.leaks import with_leaks
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.engine.verdict.paired import MAX_PAIRS, Pairs
from pytest_perfguard.plugin.capture import error_summary
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
        """By node id: why measuring in pairs did not settle the verdict."""
        self.processes = 0
        self.remarks: list[str] = []
        """Notes on the tests that were measured side by side, or the reason why they were not."""

    def run(self, tests: Sequence[MeasuredTest]) -> None:
        """Measure and judge every test.

        Raises
        ------
        pytest.UsageError
            if the revision that the user named cannot be measured.
        """
        plan = self._mode.plan(tests)
        self.comparisons |= plan.settled
        self.comparisons |= self._measure_alone(plan.alone)
        self.alone = {nodeid: comparison.measurement for nodeid, comparison in self.comparisons.items()}
        if isinstance(self._mode, PairingMode):
            self._measure_pairs(self._mode, tests)
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
            self._check_budgets(batch.tests)
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
        most = sum(leak_budget(test.settings) for test in waiting)
        self._announce(
            f"perf: checking {plural(len(waiting), 'test')} for leaks, within the budget: at most about {most:.0f} s"
        )
        leak_runner = LeakRunner(waiting, self._launch, report_progress=self._on_progress)
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
            runner = PairRunner(
                [self._with_known_conditions(test) for test in batch.tests], arms.base, arms.head, judge, arms.audit,
                revision=batch.revision.label, reasons=batch.reasons, report_progress=self._on_progress, max_passes=MAX_PAIRS,
                summarize=error_summary, exists_at_base=arms.base_tests.has,
            )  # fmt: skip
            self._run_pairs(runner)
            self.remarks += arms.remarks(batch.revision)
            if collided := [test for test in batch.tests if test.nodeid in runner.collisions]:
                self._announce(
                    "perf: some tests need a resource that exists only once: measuring them with one arm at a time"
                )
                one_at_a_time = AlternatingRunner(
                    collided, arms.base, arms.head, judge, arms.audit, revision=batch.revision.label,
                    collisions=runner.collisions, reasons=batch.reasons, report_progress=self._on_progress, max_passes=MAX_PAIRS,
                    summarize=error_summary,
                )  # fmt: skip
                self._run_pairs(one_at_a_time)
            self._explain(batch, arms, {test.nodeid for test in collided})

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
        calls = {test.nodeid: record.calls for test in chosen if (record := self._mode.record_of(test.nodeid))}
        worse = [
            test for test in chosen if calls.get(test.nodeid) and _is_worse_alone(self.comparisons.get(test.nodeid))
        ]
        if worse:
            from pytest_perfguard.plugin.explaining import with_counted_explanations

            self._announce(f"perf: profiling {plural(len(worse), 'test')}")
            self.comparisons |= with_counted_explanations(launch, rootdir, worse, self.comparisons, calls)

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


def _is_explained(test: MeasuredTest, comparison: Comparison | None) -> bool:
    """Is the test to be profiled on both sides?"""
    if comparison is None or comparison.pairing is None or comparison.broken or test.settings.explain == "off":
        return False
    return test.settings.explain == "on" or comparison.verdict is Verdict.REGRESSION


def _is_measured(comparison: Comparison | None) -> bool:
    return comparison is not None and not comparison.broken and bool(comparison.measurement.samples)


def _is_worse_alone(comparison: Comparison | None) -> bool:
    """Is it a regression by the baseline file alone?"""
    return comparison is not None and comparison.pairing is None and comparison.verdict is Verdict.REGRESSION
