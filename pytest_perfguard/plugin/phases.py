"""The measuring itself: tests alone, then what is to be measured side by side with a revision, then leak checks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_perfguard.abtest.arms import Build, Suite, two_arms
from pytest_perfguard.abtest.examiner import Examiner
from pytest_perfguard.abtest.pairs import PairRunner
from pytest_perfguard.abtest.rounds import Progress, Subject
from pytest_perfguard.abtest.runner import Runner
from pytest_perfguard.abtest.worker import Launch
from pytest_perfguard.errors import RevisionError, WrongCode
from pytest_perfguard.judge.leaks import with_leaks
from pytest_perfguard.judge.paired import MOST_PAIRS, Pairs
from pytest_perfguard.judge.screened import settled
from pytest_perfguard.model import Comparison, Measurement, Verdict
from pytest_perfguard.plugin.modes import Handover, Mode
from pytest_perfguard.plugin.options import child_arguments, run_settings
from pytest_perfguard.plugin.shown import usage_error
from pytest_perfguard.system_errors import explained

#: Coverage of subprocesses would measure the measuring.
_COVERAGE_ENVIRONMENT = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COV_CORE_SOURCE", "COV_CORE_CONFIG")
#: Not handed to children: a fixed hash seed would be one draw of a chance that fresh processes are to average over.
_NOT_INHERITED = (*_COVERAGE_ENVIRONMENT, "PYTHONHASHSEED")


class Phases:
    """`comparisons` holds what is decided, also when the measuring was interrupted."""

    def __init__(
        self, config: pytest.Config, mode: Mode, tell: Callable[[Progress], None], say: Callable[[str], None]
    ) -> None:
        self._config = config
        self._mode = mode
        self._tell = tell
        self._say = say
        self._launch = Launch(
            child_arguments(config),
            config.invocation_params.dir,
            environment={name: value for name, value in os.environ.items() if name not in _NOT_INHERITED},
        )
        self.comparisons: dict[str, Comparison] = {}
        self.alone: dict[str, Measurement] = {}
        """What was measured of tests by themselves, with the machine's pace, also where a pair settled the verdict."""
        self.processes = 0
        self.remarks: list[str] = []
        """On what was measured side by side, or why it was not."""

    def run(self, subjects: Sequence[Subject]) -> None:
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
                self._mode.do_without_pairs()
                self.comparisons |= self._alone([subject for rest in handovers[index:] for subject in rest.subjects])
                break
            self._hold_to_budgets(handover.subjects)
        self._look_for_leaks([subject for subject in subjects if subject.settings.examined])

    def give_up(self, subjects: Sequence[Subject], error: Exception) -> None:
        """Of these subjects nothing is known, since the measuring ended with this error."""
        for subject in subjects:
            known = self.comparisons.get(subject.nodeid) or Comparison(subject.nodeid, None)
            self.comparisons[subject.nodeid] = replace(known, broken=f"the measuring stopped: {explained(error)}")

    def _alone(self, subjects: Sequence[Subject]) -> dict[str, Comparison]:
        """Measure by themselves those of the subjects that can be judged in that way."""
        chosen = [subject for subject in subjects if self._mode.measured_alone(subject.nodeid)]
        return self._measured_alone(chosen)

    def _measured_alone(self, subjects: Sequence[Subject]) -> dict[str, Comparison]:
        if not subjects:
            return {}
        runner = Runner(subjects, self._launch, self._mode.judge, tell=self._tell, most=self._mode.processes)
        try:
            runner.run()
        except BaseException:
            self.comparisons |= runner.comparisons
            raise
        finally:
            self.processes += runner.processes
        return runner.comparisons

    def _hold_to_budgets(self, subjects: Sequence[Subject]) -> None:
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

    def _look_for_leaks(self, subjects: Sequence[Subject]) -> None:
        """In processes of their own: what a check does to a process (tracing, emptied caches) would be timed."""
        known = self.comparisons
        waiting = [subject for subject in subjects if subject.nodeid in known and not known[subject.nodeid].broken]
        if not waiting:
            return
        examiner = Examiner(waiting, self._launch, tell=self._tell)
        try:
            examiner.run()
        except Exception as error:
            self.give_up([subject for subject in waiting if subject.nodeid not in examiner.comparisons], error)
            raise
        finally:
            for nodeid, checked in examiner.comparisons.items():
                self.comparisons[nodeid] = with_leaks(self.comparisons[nodeid], checked)
            self.processes += examiner.processes

    def _side_by_side(self, handover: Handover) -> None:
        settings = run_settings(self._config)
        rootdir, inifile = self._config.rootpath, self._config.inipath
        tests = [Path(subject.path) for subject in handover.subjects]
        suite = Suite(rootdir, tests, inifile)
        build = Build(settings.base_command, settings.base_python)
        family = len(handover.subjects)

        def judge(nodeid: str, pairs: Pairs, final: bool) -> Comparison | None:
            return self._mode.judge_pair(nodeid, pairs, family, final)

        self._say(f"perf: checking out {handover.revision.label}")
        with two_arms(handover.revision, self._launch, suite, build) as arms:
            if arms.only_tests_differ:
                self.remarks.append(
                    f"all Python files that differ from {handover.revision.label} are tests, which both arms share"
                )
            runner = PairRunner(
                handover.subjects, arms.base, arms.head, judge, arms.proof,
                revision=handover.revision.label, reasons=handover.reasons, tell=self._tell, most=MOST_PAIRS,
            )  # fmt: skip
            try:
                runner.run()
            finally:
                for nodeid, paired in runner.comparisons.items():
                    self.comparisons[nodeid] = settled(self.comparisons.get(nodeid), paired)
                self.processes += runner.processes
