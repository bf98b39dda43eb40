"""The measuring itself: tests alone, then what is to be measured side by side with a revision, then leak checks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_perfguard.core.errors import RevisionError, WrongCode
from pytest_perfguard.core.model import Comparison, Measurement, Verdict
from pytest_perfguard.core.system_errors import explained
from pytest_perfguard.engine.report.text import plural
from pytest_perfguard.engine.runner.arms import Arms, Build, Suite, two_arms
from pytest_perfguard.engine.runner.leak_runner import LeakRunner, leak_budget
from pytest_perfguard.engine.runner.one_at_a_time import OneAtATime
from pytest_perfguard.engine.runner.pair_runner import PairRunner
from pytest_perfguard.engine.runner.process import Launch
from pytest_perfguard.engine.runner.runner import Runner
from pytest_perfguard.engine.runner.scheduler import MeasuredTest, Progress
from pytest_perfguard.engine.verdict.confirmation import SUSPECT, settles, why_unsettled
from pytest_perfguard.engine.verdict.leaks import with_leaks
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.engine.verdict.paired import MAX_PAIRS, Pairs
from pytest_perfguard.plugin.modes.base import Mode, PairedBatch
from pytest_perfguard.plugin.options import child_arguments, run_settings
from pytest_perfguard.plugin.output import usage_error
from pytest_perfguard.plugin.start_state import environment_at_start

#: Coverage of subprocesses would measure the measuring.
_COVERAGE_ENVIRONMENT = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COV_CORE_SOURCE", "COV_CORE_CONFIG")


class Schedule:
    """`comparisons` holds what is decided, also when the measuring was interrupted."""

    def __init__(
        self,
        config: pytest.Config,
        mode: Mode,
        tell: Callable[[Progress], None],
        say: Callable[[str], None],
        *,
        path: Sequence[str],
        fingerprints: Mapping[str, str],
    ) -> None:
        self._config = config
        self._mode = mode
        self._tell = tell
        self._say = say
        self._launch = Launch(
            child_arguments(config),
            config.invocation_params.dir,
            path=path,
            environment={
                name: value for name, value in environment_at_start(config).items() if name not in _COVERAGE_ENVIRONMENT
            },
            fingerprints=fingerprints,
        )
        self.comparisons: dict[str, Comparison] = {}
        self.alone: dict[str, Measurement] = {}
        """What was measured of tests by themselves, with the machine's pace, also where a pair settled the verdict."""
        self._unsettled: dict[str, str] = {}
        """By node id: why a pair settled nothing."""
        self.processes = 0
        self.remarks: list[str] = []
        """On what was measured side by side, or why it was not."""

    def run(self, subjects: Sequence[MeasuredTest]) -> None:
        """Measure and decide every subject.

        Raises
        ------
        pytest.UsageError
            where the revision that the user named cannot be measured.
        """
        before = {subject.nodeid: self._mode.settled_before(subject.nodeid) for subject in subjects}
        self.comparisons |= {nodeid: comparison for nodeid, comparison in before.items() if comparison is not None}
        self.comparisons |= self._alone(subjects)
        self.alone = {nodeid: comparison.measurement for nodeid, comparison in self.comparisons.items()}
        handovers = list(self._mode.handovers(subjects, self.comparisons))
        for index, handover in enumerate(handovers):
            try:
                self._side_by_side(handover)
            except (RevisionError, WrongCode) as error:
                if not self._mode.may_fall_back:
                    raise usage_error(error) from None
                self.remarks.append(f"not measured side by side with {handover.revision.label}: {error}")
                self._judge_by_file([subject for rest in handovers[index:] for subject in rest.subjects])
                break
            self._hold_to_budgets(handover.subjects)
        self._judge_by_file([subject for subject in subjects if subject.nodeid in self._unsettled])
        self._explain_alone(subjects)
        self._look_for_leaks([subject for subject in subjects if subject.settings.examined])

    def _judge_by_file(self, subjects: Sequence[MeasuredTest]) -> None:
        """Judge by the baseline file alone what no pair could settle."""
        self._mode.do_without_pairs(subject.nodeid for subject in subjects)
        for nodeid, comparison in self._alone(subjects).items():
            why = self._unsettled.get(nodeid, "")
            notes = (*comparison.measurement.notes, *([why] if why else []))
            self.comparisons[nodeid] = replace(comparison, measurement=replace(comparison.measurement, notes=notes))

    def give_up(self, subjects: Sequence[MeasuredTest], error: Exception) -> None:
        """Of these subjects nothing is known, since the measuring ended with this error."""
        for subject in subjects:
            known = self.comparisons.get(subject.nodeid) or Comparison(subject.nodeid, None)
            self.comparisons[subject.nodeid] = replace(known, broken=f"the measuring stopped: {explained(error)}")

    def _alone(self, subjects: Sequence[MeasuredTest]) -> dict[str, Comparison]:
        """Measure by themselves those of the subjects that can be judged in that way."""
        chosen = [subject for subject in subjects if self._mode.measured_alone(subject.nodeid)]
        return self._measured_alone(chosen)

    def _measured_alone(self, subjects: Sequence[MeasuredTest]) -> dict[str, Comparison]:
        if not subjects:
            return {}
        runner = Runner(subjects, self._launch, self._mode.judge, tell=self._tell, most=self._mode.processes)
        runner.usual_rounds = self._mode.usual_processes
        try:
            runner.run()
        except BaseException:
            self.comparisons |= runner.comparisons
            raise
        finally:
            self.processes += runner.processes
        return runner.comparisons

    def _hold_to_budgets(self, subjects: Sequence[MeasuredTest]) -> None:
        """An absolute budget needs no base: judged of tests that the base does not have, too."""
        left = [
            subject
            for subject in subjects
            if self.comparisons[subject.nodeid].verdict in (Verdict.NEW, Verdict.INCOMPARABLE)
            and (subject.settings.has_budget or self.comparisons[subject.nodeid].measurement.contests)
        ]
        for nodeid, comparison in self._measured_alone(left).items():
            if comparison.verdict is Verdict.OVER_BUDGET or comparison.broken:
                self.comparisons[nodeid] = comparison

    def _look_for_leaks(self, subjects: Sequence[MeasuredTest]) -> None:
        """In processes of their own: what a check does to a process (tracing, emptied caches) would be timed."""
        known = self.comparisons
        waiting = [subject for subject in subjects if subject.nodeid in known and not known[subject.nodeid].broken]
        if not waiting:
            return
        most = sum(leak_budget(subject.settings) for subject in waiting)
        self._say(f"perf: checking {len(waiting)} tests for leaks, within their budgets: at most about {most:.0f} s")
        examiner = LeakRunner(waiting, self._launch, tell=self._tell)
        try:
            examiner.run()
        except Exception as error:
            self.give_up([subject for subject in waiting if subject.nodeid not in examiner.comparisons], error)
            raise
        finally:
            for nodeid, checked in examiner.comparisons.items():
                self.comparisons[nodeid] = with_leaks(self.comparisons[nodeid], checked)
            self.processes += examiner.processes

    def _side_by_side(self, handover: PairedBatch) -> None:
        settings = run_settings(self._config)
        rootdir, inifile = self._config.rootpath, self._config.inipath
        tests = [Path(subject.path) for subject in handover.subjects]
        suite = Suite(rootdir, tests, inifile)
        build = Build(settings.base_command, settings.base_python)
        family = len(handover.subjects)

        def judge(nodeid: str, pairs: Pairs, spent: Spent) -> Comparison | None:
            return self._mode.judge_pair(nodeid, pairs, family, spent)

        self._say(f"perf: checking out {handover.revision.label}")
        with two_arms(handover.revision, self._launch, suite, build) as arms:
            runner = PairRunner(
                [self._with_what_is_known(subject) for subject in handover.subjects], arms.base, arms.head, judge, arms.proof,
                revision=handover.revision.label, reasons=handover.reasons, tell=self._tell, most=MAX_PAIRS,
                at_base=arms.tests.has,
            )  # fmt: skip
            self._run_beside(runner)
            self.remarks += arms.remarks(handover.revision)
            if collided := [subject for subject in handover.subjects if subject.nodeid in runner.collisions]:
                self._say("perf: what some tests need exists once: measuring them with one arm alive at a time")
                one_at_a_time = OneAtATime(
                    collided, arms.base, arms.head, judge, arms.proof, revision=handover.revision.label,
                    collisions=runner.collisions, reasons=handover.reasons, tell=self._tell, most=MAX_PAIRS,
                )  # fmt: skip
                self._run_beside(one_at_a_time)
            self._explain(handover, arms, {subject.nodeid for subject in collided})

    def _explain(self, handover: PairedBatch, arms: Arms, apart: Collection[str]) -> None:
        """Profile both sides of what got worse, in processes of their own; a run without any loads no profiler."""
        worse = [
            subject for subject in handover.subjects if _is_explained(subject, self.comparisons.get(subject.nodeid))
        ]
        if worse:
            from pytest_perfguard.plugin.explaining import with_explanations

            self._say(f"perf: profiling both sides of {plural(len(worse), 'test')}")
            self.comparisons |= with_explanations(
                arms, self._config.rootpath, handover.revision.commit, worse, self.comparisons, apart=apart
            )

    def _explain_alone(self, subjects: Sequence[MeasuredTest]) -> None:
        """What no pair was measured of: count calls for the baseline file, or compare them with those that it kept."""
        chosen = [subject for subject in subjects if subject.settings.explain != "off"]
        launch, rootdir = self._launch, self._config.rootpath
        if self._mode.name == "baseline":
            counted = [subject for subject in chosen if _is_measured(self.comparisons.get(subject.nodeid))]
            if counted:
                from pytest_perfguard.plugin.explaining import with_calls

                self.comparisons |= with_calls(launch, rootdir, counted, self.comparisons)
            return
        calls = {subject.nodeid: record.calls for subject in chosen if (record := self._mode.record_of(subject.nodeid))}
        worse = [
            subject
            for subject in chosen
            if calls.get(subject.nodeid) and _is_worse_alone(self.comparisons.get(subject.nodeid))
        ]
        if worse:
            from pytest_perfguard.plugin.explaining import with_counted_explanations

            self._say(f"perf: profiling {plural(len(worse), 'test')}")
            self.comparisons |= with_counted_explanations(launch, rootdir, worse, self.comparisons, calls)

    def _run_beside(self, runner: PairRunner | OneAtATime) -> None:
        try:
            runner.run()
        finally:
            for nodeid, paired in runner.comparisons.items():
                self._take_over(nodeid, paired)
            self.processes += runner.processes

    def _take_over(self, nodeid: str, paired: Comparison) -> None:
        """Take the pair's verdict; where it is none, the file that did not clear the test has to give one."""
        screened = self.comparisons.get(nodeid)
        if screened is not None and screened.verdict in SUSPECT and not settles(paired):
            self._unsettled[nodeid] = why_unsettled(paired)
        else:
            self.comparisons[nodeid] = paired

    def _with_what_is_known(self, subject: MeasuredTest) -> MeasuredTest:
        """The subject with what measuring it alone found out: calls per round, and whether it runs in parallel."""
        alone = self.alone.get(subject.nodeid)
        if alone is None or not alone.samples:
            return subject
        return replace(subject, iterations=alone.iterations, parallel=alone.conditions.get("parallel", False))


def _is_explained(subject: MeasuredTest, comparison: Comparison | None) -> bool:
    """Is the test to be profiled on both sides?"""
    if comparison is None or comparison.pairing is None or comparison.broken or subject.settings.explain == "off":
        return False
    return subject.settings.explain == "on" or comparison.verdict is Verdict.REGRESSION


def _is_measured(comparison: Comparison | None) -> bool:
    return comparison is not None and not comparison.broken and bool(comparison.measurement.samples)


def _is_worse_alone(comparison: Comparison | None) -> bool:
    """Is it a regression by the baseline file alone?"""
    return comparison is not None and comparison.pairing is None and comparison.verdict is Verdict.REGRESSION
